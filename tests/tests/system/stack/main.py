"""The AWS template, looked at from all sides: `main.py refusals|safety|created|outputs TEMPLATE [PORT]`."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from template import read

what, path, *rest = sys.argv[1:]
template = read(path)
if what == "refusals":
    import refusals

    print(refusals.check(template))
elif what == "safety":
    import safety

    print(safety.check(template, os.path.join(os.path.dirname(path), "any-resource.yaml")))
elif what == "outputs":
    import outputs

    print(outputs.tell(template, int(rest[0])))
else:
    import created

    print(created.check(template, int(rest[0])))
