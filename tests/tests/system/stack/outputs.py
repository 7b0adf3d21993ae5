"""The stack as the emulator creates it, as `aws cloudformation describe-stacks` tells of it."""

import copy
import json

from emulator import Aws, create

# CloudFormation makes text of numbers where a property is text; the emulator hands them on as they are.
TEXT = "CPUInstanceVCPUs CPUInstanceMemory GPUInstanceVCPUs GPUInstanceMemory".split()


def tell(template, port):
    aws, template = Aws(port), copy.deepcopy(template)
    for name in TEXT:
        about = template["Parameters"][name]
        about |= {"Type": "String", "Default": str(about["Default"])}
    create(aws, template, {})
    return json.dumps(aws.cloudformation.describe_stacks(StackName="maps"), default=str)
