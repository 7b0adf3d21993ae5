# Prometheus asks the coordinator, and the workers that it lists; Grafana shows what Prometheus has. Dashboards and rules are
# those under the root.
# shellcheck shell=bash disable=SC2154 # variables and `service` are those of the lines before
mkdir -p /etc/swath/grafana/datasources /etc/swath/grafana/dashboards /var/lib/swath/prometheus /var/lib/swath/grafana /var/lib/swath/dashboards
chown 65534 /var/lib/swath/prometheus
chown 472 /var/lib/swath/grafana
cat > /etc/swath/prometheus.yml <<END
global: { scrape_interval: 15s, evaluation_interval: 15s }
rule_files: [/dashboards/rules.yml, /dashboards/alerts.yml]
scrape_configs:
  - job_name: swath-coordinator
    static_configs: [{ targets: ["127.0.0.1:9464"] }]
  - job_name: swath-workers
    http_sd_configs: [{ url: "http://127.0.0.1:9464/discovery", refresh_interval: 15s }]
END
cat > /etc/swath/grafana/datasources/swath.yml <<END
apiVersion: 1
datasources: [{ name: Swath, type: prometheus, uid: swath, access: proxy, url: "http://127.0.0.1:9090", isDefault: true }]
END
cat > /etc/swath/grafana/dashboards/swath.yml <<END
apiVersion: 1
providers: [{ name: Swath, type: file, options: { path: /dashboards } }]
END
cat > /usr/local/bin/swath-prometheus <<END
#!/bin/bash
set -euo pipefail
aws s3 sync --region $region --only-show-errors $root/dashboards /var/lib/swath/dashboards
exec docker run --rm --name swath-prometheus --network host -v /etc/swath/prometheus.yml:/etc/prometheus/prometheus.yml:ro \\
  -v /var/lib/swath/dashboards:/dashboards:ro -v /var/lib/swath/prometheus:/prometheus $prometheus_image \\
  --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus --storage.tsdb.retention.time=30d \\
  --storage.tsdb.retention.size=4GB --web.listen-address=127.0.0.1:9090
END
cat > /usr/local/bin/swath-grafana <<END
#!/bin/bash
set -euo pipefail
GF_SECURITY_ADMIN_PASSWORD=\$(aws secretsmanager get-secret-value --region $region --secret-id '$grafana_secret' --query SecretString --output text)
export GF_SECURITY_ADMIN_PASSWORD
exec docker run --rm --name swath-grafana --network host -e GF_SECURITY_ADMIN_PASSWORD -e GF_SERVER_HTTP_ADDR=127.0.0.1 \\
  -e GF_ANALYTICS_REPORTING_ENABLED=false -e GF_ANALYTICS_CHECK_FOR_UPDATES=false \\
  -v /etc/swath/grafana:/etc/grafana/provisioning:ro -v /var/lib/swath/dashboards:/dashboards:ro \\
  -v /var/lib/swath/grafana:/var/lib/grafana $grafana_image
END
chmod 755 /usr/local/bin/swath-prometheus /usr/local/bin/swath-grafana
service swath-prometheus /usr/local/bin/swath-prometheus
service swath-grafana /usr/local/bin/swath-grafana
