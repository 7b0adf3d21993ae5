"""An emulator of AWS's CloudFormation, and what it takes to have the stack created there."""

import json
import urllib.request

import boto3

from template import NOTHING, conditions, given, refused, there

REGION, ACCOUNT = "eu-central-1", "123456789012"
# What the emulator says is created, and never makes. These are looked at in the template alone (safety.py).
SKIPPED = """AWS::EC2::SecurityGroupEgress AWS::S3::BucketPolicy AWS::SecretsManager::Secret AWS::AmazonMQ::Broker
    AWS::ElastiCache::SubnetGroup AWS::ElastiCache::ParameterGroup AWS::ElastiCache::ReplicationGroup""".split()
# It makes those without telling their names; the groups that they belong to tell of them.
NAMELESS = ["AWS::EC2::SecurityGroupIngress"]


class Aws:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.session = boto3.Session("test", "test", region_name=REGION)

    def __getattr__(self, name):
        client = self.session.client(name, endpoint_url=self.url)
        setattr(self, name, client)
        return client

    def reset(self):
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")).read()


def suited(template, values, held):
    """The template as the emulator can take it. Where it differs from CloudFormation:
    it keeps NoValue in lists as null; it knows no kind of job definition but containers; it does not look for a machine's
    image and type in its launch template; and resources that it skips have no names for others to use."""

    def suit(node, parent=None):
        if isinstance(node, dict):
            if template["Resources"].get(node.get("Ref"), {}).get("Type") in SKIPPED:
                return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{node['Ref']}"
            return {key: suit(value, key) for key, value in node.items()}
        if isinstance(node, list):
            kept = node if parent == "Fn::If" else [one for one in node if not vanishes(one)]
            return [suit(one) for one in kept]
        return node

    def vanishes(node):
        while isinstance(node, dict) and set(node) == {"Fn::If"}:
            name, yes, no = node["Fn::If"]
            node = yes if held[name] else no
        return node == NOTHING

    suited = suit(template)
    del suited["Resources"]["TrainerNodesJob"]
    host = suited["Resources"]["Host"]["Properties"]
    host |= {"ImageId": "ami-12c6146b", "InstanceType": values["HostInstanceType"]}
    return suited


def create(aws, template, values):
    """Returns outputs, and physical ids by logical ones."""
    role = aws.iam.create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    # AWS has one of its own, and the emulator has not.
    values = values | {"BatchServiceRole": role}
    assert not refused(template, values), refused(template, values)
    held, all_values = conditions(template, values), given(template, values)
    aws.s3.create_bucket(Bucket="templates", CreateBucketConfiguration={"LocationConstraint": REGION})
    aws.s3.put_object(Bucket="templates", Key="swath", Body=json.dumps(suited(template, all_values, held)))
    aws.cloudformation.create_stack(
        StackName="maps",
        TemplateURL="https://s3.amazonaws.com/templates/swath",
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    stack = aws.cloudformation.describe_stacks(StackName="maps")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    made = {
        one.get("LogicalResourceId"): one.get("PhysicalResourceId")
        for one in aws.cloudformation.describe_stack_resources(StackName="maps")["StackResources"]
    }
    wanted = there(template, held)
    for name, resource in wanted.items():
        if name != "TrainerNodesJob" and resource["Type"] not in NAMELESS:
            is_made = made.get(name) is not None
            assert is_made == (resource["Type"] not in SKIPPED), (name, resource["Type"], made.get(name))
    strangers = {name for name, id in made.items() if id} - set(wanted)
    assert not strangers, f"not asked for: {strangers}"
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    asked = {name for name, about in template["Outputs"].items() if held.get(about.get("Condition"), True)}
    assert set(outputs) == asked, set(outputs) ^ asked
    return outputs, {name: id for name, id in made.items() if id}
