# Once, when the host is new: Redis and the coordinator become containers that systemd keeps.
# shellcheck shell=bash disable=SC2154 # variables are set by the lines above this file in the host's user data
set -euo pipefail
until dnf install -y -q docker; do sleep 10; done
mkdir -p /etc/swath/swath /var/lib/swath/redis
# Names of servers, and no secret.
{
  printf 'AWS_REGION=%s\nSWATH_ROOT=%s\nXDG_CONFIG_HOME=/etc/swath\n' "$region" "$root"
  if [ "$with_sqs" = yes ]; then printf 'SWATH_QUEUE=sqs://%s/%s\n' "$region" "$prefix"; fi
  if [ "$with_redis" = yes ]; then printf 'SWATH_LEDGER=redis://127.0.0.1:6379/0\n'; fi
} > /etc/swath/environment
cat > /etc/swath/swath/fleet.toml <<END
[fleet]
fleet = "batch"
workers_max = $cpu_workers
gpu_workers_max = $gpu_workers

[batch]
region = "$region"
name = "$prefix"

[batch.cpu]
spot = "$prefix-cpu-spot"
definition = "$prefix-worker-cpu"

[batch.gpu]
spot = "$prefix-gpu-spot"
on_demand = "$prefix-gpu-on-demand"
definition = "$prefix-worker-gpu"

[batch.trainer]
definition = "$prefix-trainer"
END
metrics=
if [ "$with_monitoring" = yes ]; then metrics=' --metrics 127.0.0.1:9464'; fi
# Secrets go from their store into the program's environment, and never to a disk or a command line.
cat > /usr/local/bin/swath-coordinator <<END
#!/bin/bash
set -euo pipefail
secret() { aws secretsmanager get-secret-value --region $region --secret-id "\$1" --query SecretString --output text; }
if [ -n '$queue_secret' ]; then SWATH_QUEUE=\$(secret '$queue_secret'); export SWATH_QUEUE; fi
if [ -n '$ledger_secret' ]; then SWATH_LEDGER=\$(secret '$ledger_secret'); export SWATH_LEDGER; fi
aws ecr get-login-password --region $region | docker login --username AWS --password-stdin $registry
docker pull -q $registry/$image
exec docker run --rm --name swath-coordinator --network host --env-file /etc/swath/environment \\
  \${SWATH_QUEUE:+-e SWATH_QUEUE} \${SWATH_LEDGER:+-e SWATH_LEDGER} -v /etc/swath:/etc/swath:ro \\
  --log-driver awslogs --log-opt awslogs-region=$region --log-opt awslogs-group=$logs \\
  --log-opt awslogs-stream=coordinator $registry/$image coordinator --profile fleet --http 127.0.0.1:7878$metrics
END
chmod 755 /usr/local/bin/swath-coordinator
# A service that is tried again for ever: before the first image is published there is nothing to run. A container of its name
# that was left behind would keep it from starting.
service() {
  cat > "/etc/systemd/system/$1.service" <<END
[Unit]
After=docker.service network-online.target
Requires=docker.service
StartLimitIntervalSec=0
[Service]
ExecStartPre=-/usr/bin/docker rm -f $1
ExecStart=$2
Restart=always
RestartSec=20
TimeoutStopSec=60
[Install]
WantedBy=multi-user.target
END
  systemctl enable --now --no-block "$1.service"
}
systemctl enable --now docker
if [ "$with_redis" = yes ]; then
  # Half of the memory, and full rather than forgetful.
  memory=$(awk '/^MemTotal/ { print int($2 / 2048) "mb" }' /proc/meminfo)
  service swath-redis "/usr/bin/docker run --rm --name swath-redis --network host -v /var/lib/swath/redis:/data $redis_image redis-server --appendonly yes --maxmemory $memory --maxmemory-policy noeviction --protected-mode no"
fi
service swath-coordinator /usr/local/bin/swath-coordinator
