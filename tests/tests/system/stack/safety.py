"""What an auditor would ask, of each combination of options."""

import itertools
import re

import yaml

from template import conditions, nodes, refused, there

OPTIONS = {
    "VPC": ["", "vpc-0123456789abcdef0"],
    "CidrRange": ["", "203.0.113.0/24"],
    "ImageryBuckets": ["", "one,two"],
    "AmazonMQ": ["no", "yes"],
    "ElastiCache": ["no", "yes"],
    "Monitoring": ["no", "yes"],
    "CoordinatorHost": ["yes", "no"],
    "RepositoryName": ["", "maps/swath"],
    "TrainerGPUs": ["0", "1"],
}


def statements(resources):
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"]["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    yield name, statement


def listed(value):
    return value if isinstance(value, list) else [value]


def rights(resources, reasons):
    """Rights on everything are listed, and nothing else is on everything. Returns which of the list there are."""
    used = set()
    for name, statement in statements(resources):
        assert statement["Effect"] == "Allow" and "NotAction" not in statement and "NotResource" not in statement, name
        actions = listed(statement["Action"])
        assert all("*" not in action for action in actions), (name, actions)
        for resource in listed(statement["Resource"]):
            if resource == "*":
                assert set(actions) <= set(reasons), f"{name}: {set(actions) - set(reasons)} on everything"
                used |= set(actions)
                continue
            if isinstance(resource, dict) and "Fn::Sub" in resource:
                text = resource["Fn::Sub"]
                text = text if isinstance(text, str) else text[0]
                assert text.startswith(("arn:", "${")) and not text.endswith(":*"), (name, text)
                # The account's own, but for S3, whose names have no account in them.
                assert ":s3:::" in text or "${AWS::AccountId}" in text or text.startswith("${"), (name, text)
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            assert "ManagedPolicyArns" not in resource["Properties"], f"{name}: rights that somebody else decides"
    return used


def doors(resources):
    """Who may come in: machines of the stack, and by SSH whoever CidrRange says."""
    groups = {name for name, resource in resources.items() if resource["Type"] == "AWS::EC2::SecurityGroup"}
    rules = []
    for name, resource in resources.items():
        about = resource["Properties"]
        if name in groups:
            assert "SecurityGroupEgress" in about, f"{name}: open to the outside, where nothing is said"
            rules += [(name, rule) for rule in about.get("SecurityGroupIngress", [])]
        elif resource["Type"] == "AWS::EC2::SecurityGroupIngress":
            rules.append((about["GroupId"]["Fn::GetAtt"][0], about))
    opened = set()
    for name, rule in rules:
        assert rule["IpProtocol"] == "tcp", (name, rule)
        if "CidrIp" in rule:
            assert rule["CidrIp"] == {"Ref": "CidrRange"} and rule["FromPort"] == rule["ToPort"] == 22, (name, rule)
            continue
        assert rule["SourceSecurityGroupId"]["Fn::GetAtt"][0] in groups, (name, rule)
        opened.add((name, rule["SourceSecurityGroupId"]["Fn::GetAtt"][0], rule["FromPort"], rule["ToPort"]))
    gang = {("WorkerGroup", "WorkerGroup", 29500, 29500), ("WorkerGroup", "WorkerGroup", 32768, 60999)}
    assert gang <= opened, opened
    # Who may come in is also let out there.
    out = {
        (about["DestinationSecurityGroupId"]["Fn::GetAtt"][0], about["GroupId"]["Fn::GetAtt"][0], about["FromPort"], about["ToPort"])
        for resource in resources.values()
        if resource["Type"] == "AWS::EC2::SecurityGroupEgress"
        for about in [resource["Properties"]]
    }
    assert out == opened, out ^ opened
    return opened


def disks(resources):
    for name, resource in resources.items():
        about = resource["Properties"]
        if resource["Type"] == "AWS::EC2::LaunchTemplate":
            data = about["LaunchTemplateData"]
            assert data["BlockDeviceMappings"], name
            for disk in data["BlockDeviceMappings"]:
                assert disk["Ebs"]["Encrypted"] is True and disk["Ebs"]["VolumeType"] == "gp3", name
            metadata = data["MetadataOptions"]
            assert metadata["HttpTokens"] == "required" and metadata["HttpPutResponseHopLimit"] == 2, name
        elif resource["Type"] == "AWS::S3::Bucket":
            assert all(about["PublicAccessBlockConfiguration"].values()), name
            assert about["BucketEncryption"] and resource["DeletionPolicy"] == "Retain", name
        elif resource["Type"] == "AWS::SQS::Queue":
            assert about["SqsManagedSseEnabled"] is True, name
        elif resource["Type"] == "AWS::ElastiCache::ReplicationGroup":
            assert about["TransitEncryptionEnabled"] is True and about["AtRestEncryptionEnabled"] is True, name
            assert "resolve:secretsmanager" in about["AuthToken"]["Fn::Sub"], name
        elif resource["Type"] == "AWS::AmazonMQ::Broker":
            assert about["PubliclyAccessible"] is False and about["EngineType"] == "RABBITMQ", name
            assert all("resolve:secretsmanager" in user["Password"]["Fn::Sub"] for user in about["Users"]), name
        # A machine or an environment stands on a launch template, whose disks were looked at.
        elif resource["Type"] == "AWS::EC2::Instance":
            assert about["LaunchTemplate"] and "BlockDeviceMappings" not in about, name
        elif resource["Type"] == "AWS::Batch::ComputeEnvironment":
            assert about["ComputeResources"]["LaunchTemplate"], name
        else:
            assert resource["Type"] not in ("AWS::EC2::Volume", "AWS::EFS::FileSystem"), f"{name}: look whether it is encrypted"


def jobs(resources, held):
    """Containers have no more than they need, and know queue and ledger in one way each."""
    for name, resource in resources.items():
        if resource["Type"] != "AWS::Batch::JobDefinition":
            continue
        about = resource["Properties"]
        ranges = about.get("NodeProperties", {}).get("NodeRangeProperties", [])
        containers = [about["ContainerProperties"]] if not ranges else [one["Container"] for one in ranges]
        (container,) = containers
        assert not container.get("Privileged") and "Volumes" not in container, name
        environment = [one["Name"] for one in container["Environment"]]
        secrets = [one["Name"] for one in container.get("Secrets", [])]
        for door, secret in {"SWATH_QUEUE": held["UsesAmazonMQ"], "SWATH_LEDGER": held["UsesElastiCache"]}.items():
            assert (environment + secrets).count(door) == 1 and (door in secrets) == secret, (name, door)
        assert "SWATH_ROOT" in environment and "AWS_REGION" in environment, name
        retried = about["RetryStrategy"]["EvaluateOnExit"]
        assert retried[0] == {"OnStatusReason": "Host EC2*", "Action": "RETRY"} and retried[-1]["Action"] == "EXIT", name
        assert about["Timeout"], name


def references(resources, template):
    """What is there names nothing that is not."""
    for name, resource in resources.items():
        for node in nodes(resource):
            if not isinstance(node, dict) or len(node) != 1:
                continue
            targets = [node.get("Ref"), (node.get("Fn::GetAtt") or [None])[0]]
            if text := node.get("Fn::Sub"):
                text, own = (text, {}) if isinstance(text, str) else text
                targets += [word for word in re.findall(r"\$\{(\w+)", text) if word not in own]
            for target in targets:
                assert target not in template["Resources"] or target in resources, f"{name} names {target}, which is not there"


def check(template, reasons):
    reasons, used, seen = yaml.safe_load(open(reasons)), set(), 0
    for values in itertools.product(*OPTIONS.values()):
        values = dict(zip(OPTIONS, values))
        if values["VPC"]:
            values["SubnetIds"] = "subnet-0123456789abcdef0"
        if refused(template, values):
            continue
        held = conditions(template, values)
        resources = there(template, held)
        used |= rights(resources, reasons)
        doors(resources)
        disks(resources)
        jobs(resources, held)
        references(resources, template)
        seen += 1
    assert used == set(reasons), f"listed, and not there: {set(reasons) - used}"
    return f"{seen} combinations"
