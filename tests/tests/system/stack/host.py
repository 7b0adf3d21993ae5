"""What the host does when it is new, in a folder in the place of its disk, with programs that write down how they are called."""

import os
import pathlib
import subprocess
import tempfile
import tomllib

import yaml

STUB = """#!/bin/bash
# A line at once: others write there too.
printf '%s\n' "$(basename "$0") $*" >> "$CALLS"
if [ "$1 $2" = "secretsmanager get-secret-value" ]; then echo "secret of ${*: -4:1} $6"; fi
if [ "$1" = run ]; then printf 'environment QUEUE=%s LEDGER=%s\\n' "$SWATH_QUEUE" "$SWATH_LEDGER" >> "$CALLS"; fi
"""
FOLDERS = ["/etc/swath", "/etc/systemd/system", "/var/lib/swath", "/usr/local/bin"]


def set_up(text, monitoring):
    assert len(text.encode()) < 16_384, "more than EC2 takes"
    with tempfile.TemporaryDirectory() as folder:
        disk, programs = pathlib.Path(folder, "disk"), pathlib.Path(folder, "programs")
        for path in FOLDERS:
            (disk / path[1:]).mkdir(parents=True)
            text = text.replace(path, f"{disk}{path}")
        programs.mkdir()
        for name in ("dnf", "systemctl", "docker", "aws", "chown"):
            (programs / name).write_text(STUB)
            (programs / name).chmod(0o755)
        calls = pathlib.Path(folder, "calls")
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(calls), "HOME": folder}

        def run(path, *flags):
            calls.write_text("")
            done = subprocess.run(["bash", *flags, str(path)], env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{path}: {done.stderr}"
            return calls.read_text()

        script = pathlib.Path(folder, "user-data")
        script.write_text(text)
        called = run(script)
        assert "dnf install -y -q docker" in called and "systemctl enable --now docker" in called
        profile = tomllib.loads((disk / "etc/swath/swath/fleet.toml").read_text())
        fleet, profile = profile["fleet"], profile["batch"]
        assert fleet == {"fleet": "batch", "workers_max": 8 if monitoring else 40, "gpu_workers_max": 8}, fleet
        prefix = profile["name"]
        assert profile["cpu"] == {"spot": f"{prefix}-cpu-spot", "definition": f"{prefix}-worker-cpu"}
        assert profile["gpu"]["on_demand"] == f"{prefix}-gpu-on-demand"
        lines = (disk / "etc/swath/environment").read_text().splitlines()
        given = dict(line.split("=", 1) for line in lines)
        coordinator = run(disk / "usr/local/bin/swath-coordinator", "-u")
        assert "docker login --username AWS --password-stdin 123456789012.dkr.ecr." in coordinator
        (started,) = [line for line in coordinator.splitlines() if line.startswith("docker run")]
        assert f"/{prefix}-coordinator:" in started and started.partition(" coordinator ")[2].startswith(
            "--profile fleet --http 127.0.0.1:7878"
        ), started
        assert f"--log-opt awslogs-group=/{prefix}/host" in started
        assert "secret of" not in started, "a secret on a command line"
        services = {path.name for path in (disk / "etc/systemd/system").iterdir()}
        if monitoring:
            # Whose queue and ledger are secrets, too.
            assert services == {"swath-coordinator.service", "swath-prometheus.service", "swath-grafana.service"}
            assert not {"SWATH_QUEUE", "SWATH_LEDGER"} & set(given)
            assert "-e SWATH_QUEUE -e SWATH_LEDGER" in started
            assert "QUEUE=secret of" in coordinator and "LEDGER=secret of" in coordinator
            assert started.endswith("--metrics 127.0.0.1:9464")
            prometheus = yaml.safe_load((disk / "etc/swath/prometheus.yml").read_text())
            assert [one["job_name"] for one in prometheus["scrape_configs"]] == ["swath-coordinator", "swath-workers"]
            called_by_it = run(disk / "usr/local/bin/swath-prometheus", "-u")
            assert "aws s3 sync" in called_by_it and "--web.listen-address=127.0.0.1:9090" in called_by_it
            grafana = run(disk / "usr/local/bin/swath-grafana", "-u")
            assert "GF_SERVER_HTTP_ADDR=127.0.0.1" in grafana
        else:
            assert services == {"swath-coordinator.service", "swath-redis.service"}
            assert given["SWATH_LEDGER"] == "redis://127.0.0.1:6379/0" and given["SWATH_QUEUE"].startswith("sqs://")
            redis = (disk / "etc/systemd/system/swath-redis.service").read_text()
            assert "--maxmemory-policy noeviction" in redis and "--appendonly yes" in redis
            assert "secretsmanager" not in coordinator
        for name in services:
            unit = (disk / f"etc/systemd/system/{name}").read_text()
            assert "Restart=always" in unit and f"ExecStartPre=-/usr/bin/docker rm -f {name.removesuffix('.service')}\n" in unit
            assert f"systemctl enable --now --no-block {name}" in called
