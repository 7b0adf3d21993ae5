"""What CloudFormation refuses before it makes anything, and in which words. Patterns are Java's there; these mean the same."""

from template import refused

OWN = {"VPC": "vpc-0123456789abcdef0", "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1"}
TAKEN = [
    {},
    OWN,
    OWN | {"RouteTableIds": "rtb-0123456789abcdef0"},
    {"GpuInstanceTypes": "g6e,p4d.24xlarge,gr6,p5", "CpuInstanceTypes": "c7i.2xlarge", "Prefix": "maps2"},
    {"CidrRange": "203.0.113.0/24", "KeyName": "mine", "BucketName": "my.bucket", "RepositoryName": "maps/swath"},
    {"ImageryBuckets": "one,two.three", "ImageTag": "1.4.0"},
    {"CoordinatorHost": "no", "ElastiCache": "yes", "AmazonMQ": "yes"},
    {"BatchServiceRole": "arn:aws:iam::123456789012:role/batch", "GpuImageId": "ami-0123456789abcdef0"},
]
# What is given, and a word of each reason.
REFUSED = [
    *(
        ({"GpuInstanceTypes": types}, ["no kernels for cards below compute capability 7.5"])
        for types in ["p2", "p3", "p3.2xlarge", "g5,p3dn.24xlarge", "g3s.xlarge,g5", "g4dn,g2,g5", "g4ad", "g5g.xlarge"]
    ),
    ({"GpuInstanceTypes": "g5, g6"}, ["no spaces"]),
    ({"GpuInstanceTypes": ""}, ["GpuInstanceTypes"]),
    ({"CpuInstanceTypes": "c6i;m6i"}, ["commas"]),
    ({"Prefix": "Maps"}, ["lower-case"]),
    ({"Prefix": ""}, ["Prefix"]),
    ({"Prefix": "thirteenchars"}, ["up to 12"]),
    ({"CidrRange": "0.0.0.0/0"}, ["whole internet"]),
    ({"CidrRange": "10.0.0.0/4"}, ["CidrRange"]),
    ({"VPC": OWN["VPC"]}, ["wants its subnets"]),
    ({"SubnetIds": OWN["SubnetIds"]}, ["want their VPC"]),
    ({"RouteTableIds": "rtb-0123456789abcdef0"}, ["Route tables of yours want their VPC"]),
    (OWN | {"SubnetIds": "subnet-0123456789abcdef0 subnet-0123456789abcdef1"}, ["commas"]),
    ({"CoordinatorHost": "no"}, ["ElastiCache has to be yes"]),
    ({"CoordinatorHost": "no", "ElastiCache": "yes", "Monitoring": "yes"}, ["needs CoordinatorHost"]),
    ({"HostInstanceType": "t4g.small"}, ["HostInstanceType"]),
    ({"MaximumVCPUs": "0"}, ["MaximumVCPUs"]),
    ({"CPUInstanceStorage": "8"}, ["CPUInstanceStorage"]),
    ({"ImageTag": "-"}, ["tag"]),
    ({"BucketName": "s3://mine"}, ["name of a bucket"]),
    ({"AmazonMQ": "maybe"}, ["AmazonMQ"]),
]
# What the template of Raster Vision takes, with the names that are other here (docs/aws.md).
SEEDS = """Prefix VPC SubnetIds KeyName GpuInstanceTypes CpuInstanceTypes MinimumVCPUs DesiredVCPUs MaximumVCPUs CidrRange
    SpotFleetBidPercentage RepositoryName ImageTag GPUInstanceVCPUs GPUInstanceMemory GPUInstanceStorage
    CPUInstanceVCPUs CPUInstanceMemory CPUInstanceStorage""".split()


def check(template):
    parameters = template["Parameters"]
    assert set(SEEDS) <= set(parameters), set(SEEDS) - set(parameters)
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(parameters) == sorted(interface["ParameterLabels"])
    assert interface["ParameterGroups"][0]["Label"]["default"] == "Network"
    for name, about in parameters.items():
        assert about.get("Description"), name
        assert "AllowedPattern" not in about or about.get("ConstraintDescription"), name
    for values in TAKEN:
        assert not (why := refused(template, values)), (values, why)
    for values, words in REFUSED:
        told = refused(template, values)
        for word in words:
            assert any(word in why for why in told), (values, told)
    return f"{len(TAKEN)} taken, {len(REFUSED)} refused"
