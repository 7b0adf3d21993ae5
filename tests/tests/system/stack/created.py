"""The stack as the emulator creates it, each resource by its own API."""

import ast
import base64
import json

import host
from emulator import ACCOUNT, REGION, Aws, create


def check(template, port):
    aws, said = Aws(port), []
    for look in (defaults, every_option, own_network_and_no_host):
        aws.reset()
        said.append(look(aws, template))
    return "; ".join(said)


def defaults(aws, template):
    outputs, made = create(aws, template, {})
    bucket = made["Bucket"]
    assert outputs["Root"] == f"s3://{bucket}/swath" and outputs["Queue"] == f"sqs://{REGION}/swath"
    assert outputs["Region"] == REGION and outputs["Name"] == "swath" and outputs["HostInstanceId"] == made["Host"]
    assert "15 for the host (t3.small)" in outputs["IdleCost"] and "Amazon MQ" not in outputs["IdleCost"]

    # Network.
    subnets = aws.ec2.describe_subnets(SubnetIds=[made["FirstSubnet"], made["SecondSubnet"]])["Subnets"]
    assert len({one["AvailabilityZone"] for one in subnets}) == 2 and {one["VpcId"] for one in subnets} == {made["OwnVpc"]}
    assert all(one["MapPublicIpOnLaunch"] for one in subnets)
    (table,) = aws.ec2.describe_route_tables(RouteTableIds=[made["Routes"]])["RouteTables"]
    ways = {one.get("DestinationCidrBlock"): one.get("GatewayId") for one in table["Routes"]}
    assert ways["0.0.0.0/0"] == made["InternetGateway"], ways
    # Which subnets go by it is in the template alone: the emulator makes associations, and shows none.
    gone = {template["Resources"][name]["Properties"]["SubnetId"]["Ref"] for name in ("FirstSubnetRoutes", "SecondSubnetRoutes")}
    assert gone == {"FirstSubnet", "SecondSubnet"}
    (gateway,) = aws.ec2.describe_internet_gateways(InternetGatewayIds=[made["InternetGateway"]])["InternetGateways"]
    assert gateway["Attachments"][0]["VpcId"] == made["OwnVpc"]
    (endpoint,) = aws.ec2.describe_vpc_endpoints(VpcEndpointIds=[made["S3Endpoint"]])["VpcEndpoints"]
    assert endpoint["ServiceName"] == f"com.amazonaws.{REGION}.s3" and endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["RouteTableIds"] == [made["Routes"]] and endpoint["VpcId"] == made["OwnVpc"]
    workers, hosts = made["WorkerGroup"], made["HostGroup"]
    assert entries(aws, workers) == {(29500, 29500, workers), (32768, 60999, workers)}, entries(aws, workers)
    assert entries(aws, hosts) == {(6379, 6379, workers)}, entries(aws, hosts)

    # Bucket. The emulator's stack leaves the lifecycle out; its S3 takes the rules, and looks at them.
    rules = aws.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    lifecycle(aws, template, bucket)

    # Repositories. The same of their policies.
    names = {f"swath-{of}" for of in ("coordinator", "worker", "worker-gpu", "trainer", "trainer-gpu")}
    repositories = aws.ecr.describe_repositories()["repositories"]
    assert {one["repositoryName"] for one in repositories} == names
    text = template["Resources"]["WorkerRepository"]["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"]
    aws.ecr.put_lifecycle_policy(repositoryName="swath-worker", lifecyclePolicyText=text)

    # Queues, as docs/servers.md wants them.
    for lane in ("cpu", "gpu", "steps", "dead"):
        url = aws.sqs.get_queue_url(QueueName=f"swath-{lane}")["QueueUrl"]
        about = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert int(about["DelaySeconds"]) == 0 and int(about["MaximumMessageSize"]) >= 245_760
        assert int(about["MessageRetentionPeriod"]) == 1_209_600
        redrive = json.loads(about.get("RedrivePolicy", "null"))
        if lane == "dead":
            assert redrive is None
        else:
            assert redrive["deadLetterTargetArn"].endswith(":swath-dead") and int(redrive["maxReceiveCount"]) == 1000
    assert len(aws.sqs.list_queues()["QueueUrls"]) == 4
    groups = {one["logGroupName"]: one["retentionInDays"] for one in aws.logs.describe_log_groups()["logGroups"]}
    assert groups == {"/swath/workers": 30, "/swath/host": 30}, groups

    roles(aws, made, bucket)
    batch(aws, made, outputs)
    machines(aws, made)
    return f"defaults: {len(made)} resources"


def entries(aws, group):
    """Ports, and who may come there."""
    (about,) = aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return {
        (rule["FromPort"], rule["ToPort"], other)
        for rule in about["IpPermissions"]
        for other in [one["GroupId"] for one in rule["UserIdGroupPairs"]] + [one["CidrIp"] for one in rule["IpRanges"]]
    }


def lifecycle(aws, template, bucket):
    rules = []
    for rule in template["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]:
        one = {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": ""}}
        if "Prefix" in rule:
            one["Filter"] = {"Prefix": rule["Prefix"]["Fn::Sub"].replace("${Prefix}", "swath")}
        if "ExpirationInDays" in rule:
            one["Expiration"] = {"Days": rule["ExpirationInDays"]}
        one |= {key: rule[key] for key in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration") if key in rule}
        rules.append(one)
    aws.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    kept = {one["ID"]: one for one in aws.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
    assert kept["abandoned-messages"]["Filter"]["Prefix"] == "swath/messages/"
    assert kept["abandoned-messages"]["Expiration"]["Days"] == 15
    assert kept["abandoned-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 2
    assert kept["old-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7


def allowed(aws, role):
    """Resources by action, as they came out."""
    found = {}
    for name in aws.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = aws.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        # The emulator's stack keeps it as Python writes it.
        document = ast.literal_eval(document) if isinstance(document, str) else document
        # A policy of its own is looked at by the emulator, whose stack takes any.
        aws.iam.create_policy(PolicyName=f"{role}-{name}"[:128], PolicyDocument=json.dumps(document))
        for statement in document["Statement"]:
            actions, resources = ([one] if isinstance(one, str) else one for one in (statement["Action"], statement["Resource"]))
            for action in actions:
                found.setdefault(action, []).extend(resources)
    return found


def roles(aws, made, bucket):
    queues = f"arn:aws:sqs:{REGION}:{ACCOUNT}:swath-*"
    worker = allowed(aws, made["JobRole"])
    assert worker["s3:PutObject"] == worker["s3:AbortMultipartUpload"] == [f"arn:aws:s3:::{bucket}/swath/*"]
    assert worker["sqs:ReceiveMessage"] == worker["sqs:DeleteMessage"] == worker["sqs:ChangeMessageVisibility"] == [queues]
    assert "sqs:SendMessage" not in worker and not any(action.startswith("batch:") for action in worker)
    host = allowed(aws, made["HostRole"])
    assert host["sqs:SendMessage"] == [queues] and "sqs:ReceiveMessage" not in host
    assert set(host["batch:SubmitJob"]) == {
        f"arn:aws:batch:{REGION}:{ACCOUNT}:job-{of}/swath-*" for of in ("definition", "queue")
    }
    # What the fleet's provider calls, and no more: its job definitions are the stack's.
    called = """SubmitJob ListJobs DescribeJobs TerminateJob DescribeJobDefinitions DescribeJobQueues DescribeComputeEnvironments
        TagResource""".split()
    assert {action for action in host if action.startswith("batch:")} == {f"batch:{action}" for action in called}
    assert not any(action.startswith("iam:") for action in host)
    starts = allowed(aws, made["ExecutionRole"])
    assert starts["ecr:BatchGetImage"] == [f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/swath-*"]
    assert starts["logs:PutLogEvents"][0].endswith(":log-group:/swath/workers:*") or "/swath/workers" in starts["logs:PutLogEvents"][0]
    assert set(allowed(aws, made["InstanceRole"])) & {"s3:GetObject", "sqs:ReceiveMessage"} == set()
    for profile, role in {"InstanceProfile": "InstanceRole", "HostProfile": "HostRole"}.items():
        about = aws.iam.get_instance_profile(InstanceProfileName=made[profile])["InstanceProfile"]
        assert [one["RoleName"] for one in about["Roles"]] == [made[role]]


def batch(aws, made, outputs):
    environments = {
        one["computeEnvironmentName"]: one
        for one in aws.batch.describe_compute_environments()["computeEnvironments"]
    }
    assert set(environments) == {"swath-cpu-spot", "swath-gpu-spot", "swath-gpu-on-demand"}
    for name, market, types, most in [
        ("swath-cpu-spot", "SPOT", ["c6i", "m6i", "r6i"], 80),
        ("swath-gpu-spot", "SPOT", ["g4dn", "g5", "g6"], 32),
        ("swath-gpu-on-demand", "EC2", ["g4dn", "g5", "g6"], 32),
    ]:
        about = environments[name]
        machines = about["computeResources"]
        assert about["type"] == "MANAGED" and about["state"] == "ENABLED"
        assert (machines["type"], machines["instanceTypes"]) == (market, types), name
        assert (int(machines["minvCpus"]), int(machines["maxvCpus"])) == (0, most), name
        assert machines["subnets"] == [made["FirstSubnet"], made["SecondSubnet"]]
        assert machines["securityGroupIds"] == [made["WorkerGroup"]]
        template = machines["launchTemplate"]["launchTemplateId"]
        assert template == made["CpuMachine" if "cpu" in name else "GpuMachine"], name
    queues = {one["jobQueueName"]: one for one in aws.batch.describe_job_queues()["jobQueues"]}
    assert set(queues) == set(environments)
    for name, queue in queues.items():
        (first,) = queue["computeEnvironmentOrder"]
        assert first["computeEnvironment"] == environments[name]["computeEnvironmentArn"] and queue["state"] == "ENABLED"
    for name in ("CpuSpotQueue", "GpuSpotQueue", "GpuOnDemandQueue"):
        assert outputs[name] in queues, name
    definitions = {one["jobDefinitionName"]: one for one in aws.batch.describe_job_definitions()["jobDefinitions"]}
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    assert outputs["Registry"] == registry
    for output, image, command, needs in [
        ("CpuDefinition", "worker", ["worker", "--kinds", "cpu", "--idle-exit", "900"], {"VCPU": "2", "MEMORY": "6000"}),
        ("GpuDefinition", "worker-gpu", ["worker", "--kinds", "gpu", "--idle-exit", "900"], {"VCPU": "4", "MEMORY": "14000", "GPU": "1"}),
        ("TrainerDefinition", "trainer", ["train", "Ref::file", "--gang", "Ref::gang"], {"VCPU": "4", "MEMORY": "14000"}),
    ]:
        about = definitions[outputs[output]]
        container = about["containerProperties"]
        assert container["image"] == f"{registry}/swath-{image}:{outputs['ImageTag']}", container["image"]
        assert container["command"] == command
        assert {one["type"]: str(one["value"]) for one in container["resourceRequirements"]} == needs, container
        environment = {one["name"]: one["value"] for one in container["environment"]}
        assert environment == {
            "AWS_REGION": REGION,
            "SWATH_ROOT": outputs["Root"],
            "SWATH_QUEUE": outputs["Queue"],
            "SWATH_LEDGER": outputs["Ledger"],
        }, environment
        assert container["logConfiguration"]["options"]["awslogs-group"] == "/swath/workers"
        assert int(about["retryStrategy"]["attempts"]) == 3
    # A job can be submitted as the fleet would.
    job = aws.batch.submit_job(
        jobName="swath_cpu_spot_t1", jobQueue=outputs["CpuSpotQueue"], jobDefinition=outputs["CpuDefinition"]
    )
    assert job["jobId"]


def machines(aws, made):
    for name, words in {
        "CpuMachine": ["ECS_ENABLE_SPOT_INSTANCE_DRAINING=true"],
        "GpuMachine": ["ECS_ENABLE_SPOT_INSTANCE_DRAINING=true"],
        "HostMachine": ["export prefix='swath'"],
    }.items():
        data, text = launch(aws, made[name])
        for disk in data["BlockDeviceMappings"]:
            assert disk["Ebs"]["Encrypted"] is True and disk["Ebs"]["VolumeType"] == "gp3", name
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
        assert all(word in text for word in words), (name, text)
        if name != "HostMachine":
            # Batch merges them with its own: parts, each with a head, an empty line and a body.
            head, body = text.split("\n\n--//\n")
            assert head.startswith("MIME-Version: 1.0\nContent-Type: multipart/mixed;")
            assert '\n\n#!/bin/bash\n' in body and body.rstrip().endswith("--//--")
    (instance,) = aws.ec2.describe_instances(InstanceIds=[made["Host"]])["Reservations"][0]["Instances"]
    assert instance["InstanceType"] == "t3.small" and instance["SubnetId"] == made["FirstSubnet"]
    data, text = launch(aws, made["HostMachine"])
    assert data["InstanceType"] == "t3.small" and data["ImageId"].startswith("resolve:ssm:/aws/service/ami-amazon-linux")
    assert data["IamInstanceProfile"]["Arn"].endswith(made["HostProfile"])
    host.set_up(text, monitoring=False)


def launch(aws, template):
    (version,) = aws.ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Latest"])["LaunchTemplateVersions"]
    data = version["LaunchTemplateData"]
    return data, base64.b64decode(data["UserData"]).decode()


def every_option(aws, template):
    outputs, made = create(
        aws,
        template,
        {
            "Prefix": "maps",
            "AmazonMQ": "yes",
            "ElastiCache": "yes",
            "Monitoring": "yes",
            "HostInstanceType": "t3.medium",
            "KeyName": "mine",
            "CidrRange": "203.0.113.0/24",
            "ImageryBuckets": "one,two.three",
            "ImageTag": "1.4.0",
            "GpuInstanceTypes": "g6.xlarge",
            "MinimumVCPUs": "2",
            "DesiredVCPUs": "4",
            "MaximumVCPUs": "16",
            "TrainerGPUs": "1",
            "LogDays": "7",
        },
    )
    assert "Queue" not in outputs and "Ledger" not in outputs and outputs["QueueSecret"] and outputs["LedgerSecret"]
    assert "Amazon MQ (mq.m5.large" in outputs["IdleCost"] and "ElastiCache (cache.t4g.small" in outputs["IdleCost"]
    assert "QueueUrls" not in aws.sqs.list_queues(), "SQS beside Amazon MQ"
    workers, hosts, ssh = made["WorkerGroup"], made["HostGroup"], (22, 22, "203.0.113.0/24")
    gang = {(29500, 29500, workers), (32768, 60999, workers)}
    assert entries(aws, workers) == gang | {ssh, (32768, 60999, hosts)}, entries(aws, workers)
    assert entries(aws, hosts) == {ssh}, entries(aws, hosts)
    assert entries(aws, made["BrokerGroup"]) == {(5671, 5671, workers), (5671, 5671, hosts)}
    assert entries(aws, made["LedgerGroup"]) == {(6379, 6379, workers), (6379, 6379, hosts)}
    worker = allowed(aws, made["JobRole"])
    assert not any(action.startswith("sqs:") for action in worker)
    assert {"arn:aws:s3:::one/*", "arn:aws:s3:::two.three/*"} <= set(worker["s3:GetObject"])
    assert {"arn:aws:s3:::one", "arn:aws:s3:::two.three"} <= set(worker["s3:ListBucket"])
    assert set(worker["s3:PutObject"]) == {f"arn:aws:s3:::{made['Bucket']}/maps/*"}
    secrets = {outputs["QueueSecret"], outputs["LedgerSecret"]}
    assert set(allowed(aws, made["ExecutionRole"])["secretsmanager:GetSecretValue"]) == secrets
    assert set(allowed(aws, made["HostRole"])["secretsmanager:GetSecretValue"]) == secrets | {outputs["GrafanaSecret"]}
    for about in aws.batch.describe_compute_environments()["computeEnvironments"]:
        machines, is_spot = about["computeResources"], about["computeEnvironmentName"].endswith("-spot")
        assert machines["ec2KeyPair"] == "mine"
        assert int(machines["minvCpus"]) == (2 if is_spot else 0) and int(machines.get("desiredvCpus", 0)) == (4 if is_spot else 0)
        assert int(machines["maxvCpus"]) == (16 if "cpu" in about["computeEnvironmentName"] else 32)
        if "gpu" in about["computeEnvironmentName"]:
            assert machines["instanceTypes"] == ["g6.xlarge"]
    for about in aws.batch.describe_job_definitions()["jobDefinitions"]:
        container = about["containerProperties"]
        assert {one["name"]: one["valueFrom"] for one in container["secrets"]} == {
            "SWATH_QUEUE": outputs["QueueSecret"],
            "SWATH_LEDGER": outputs["LedgerSecret"],
        }
        assert "SWATH_METRICS" in [one["name"] for one in container["environment"]]
        assert container["image"].endswith(":1.4.0") and "/maps-" in container["image"]
        if about["jobDefinitionName"] == "maps-trainer":
            assert "/maps-trainer-gpu:" in container["image"]
            assert ("GPU", "1") in [(one["type"], str(one["value"])) for one in container["resourceRequirements"]]
    groups = {one["logGroupName"]: one["retentionInDays"] for one in aws.logs.describe_log_groups()["logGroups"]}
    assert groups == {"/maps/workers": 7, "/maps/host": 7}
    _, text = launch(aws, made["HostMachine"])
    host.set_up(text, monitoring=True)
    return f"every option: {len(made)} resources"


def own_network_and_no_host(aws, template):
    vpc = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        aws.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24")["Subnet"]["SubnetId"] for n in range(2)
    ]
    table = aws.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    before = len(aws.ec2.describe_vpcs()["Vpcs"])
    outputs, made = create(
        aws,
        template,
        {
            "VPC": vpc,
            "SubnetIds": ",".join(subnets),
            "RouteTableIds": table,
            "BucketName": "mine",
            "RepositoryName": "maps/swath",
            "CoordinatorHost": "no",
            "ElastiCache": "yes",
        },
    )
    assert outputs["Root"] == "s3://mine/swath" and outputs["Repositories"] == "maps/swath"
    assert not {"HostInstanceId", "Ledger"} & set(outputs) and "host" not in outputs["IdleCost"]
    assert len(aws.ec2.describe_vpcs()["Vpcs"]) == before and not aws.ecr.describe_repositories()["repositories"]
    assert [one["Name"] for one in aws.s3.list_buckets()["Buckets"]] == ["templates"]
    (endpoint,) = aws.ec2.describe_vpc_endpoints(VpcEndpointIds=[made["S3Endpoint"]])["VpcEndpoints"]
    assert endpoint["RouteTableIds"] == [table] and endpoint["VpcId"] == vpc
    for about in aws.batch.describe_compute_environments()["computeEnvironments"]:
        assert about["computeResources"]["subnets"] == subnets
    for about in aws.batch.describe_job_definitions()["jobDefinitions"]:
        assert ".amazonaws.com/maps/swath-" in about["containerProperties"]["image"]
    assert not aws.ec2.describe_instances()["Reservations"]
    return f"a network of one's own: {len(made)} resources"
