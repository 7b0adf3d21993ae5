"""The template as CloudFormation would read it: what it asks of parameters, which conditions hold, what is there."""

import re

import yaml

NOTHING = {"Ref": "AWS::NoValue"}


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags."""


def tagged(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", tagged)


def read(path):
    return yaml.load(open(path), Loader)


def given(template, values):
    """All parameters, defaults among them, as strings; an unknown or a missing one is refused."""
    known = template["Parameters"]
    assert set(values) <= set(known), f"no such parameters: {set(values) - set(known)}"
    return {name: str(values.get(name, about.get("Default"))) for name, about in known.items()}


def refused(template, values):
    """Why CloudFormation does not begin: constraints of parameters, then assertions of rules, in their own words."""
    words, values = [], given(template, values)
    for name, about in template["Parameters"].items():
        value, why = values[name], f"{name} must be {about.get('ConstraintDescription', 'otherwise')}"
        if "AllowedValues" in about and value not in map(str, about["AllowedValues"]):
            words.append(why)
        elif "AllowedPattern" in about and not re.fullmatch(about["AllowedPattern"], value):
            words.append(why)
        elif not about.get("MinLength", 0) <= len(value) <= about.get("MaxLength", 4096):
            words.append(why)
        elif about["Type"] == "Number" and not about.get("MinValue", 0) <= int(value) <= about.get("MaxValue", 1e9):
            words.append(why)
    for rule in template["Rules"].values():
        if holds(rule["RuleCondition"], values, {}):
            words += [
                one["AssertDescription"] for one in rule["Assertions"] if not holds(one["Assert"], values, {})
            ]
    return words


def holds(node, values, conditions):
    ((function, of),) = node.items()
    if function == "Condition":
        return holds(conditions[of], values, conditions)
    if function == "Fn::Equals":
        first, second = (values[one["Ref"]] if isinstance(one, dict) else str(one) for one in of)
        return first == second
    inner = [holds(one, values, conditions) for one in of]
    return {"Fn::Not": not inner[0], "Fn::And": all(inner), "Fn::Or": any(inner)}[function]


def conditions(template, values):
    all_of, values = template["Conditions"], given(template, values)
    return {name: holds(node, values, all_of) for name, node in all_of.items()}


def there(template, held):
    """Resources whose condition holds, with every If decided."""
    return {
        name: decided(resource, held)
        for name, resource in template["Resources"].items()
        if held.get(resource.get("Condition"), "Condition" not in resource)
    }


def decided(node, held):
    if isinstance(node, dict):
        if set(node) == {"Fn::If"}:
            name, yes, no = node["Fn::If"]
            return decided(yes if held[name] else no, held)
        inner = {key: decided(value, held) for key, value in node.items()}
        return {key: value for key, value in inner.items() if value != NOTHING}
    if isinstance(node, list):
        inner = [decided(value, held) for value in node]
        return [value for value in inner if value != NOTHING]
    return node


def nodes(node):
    """Everything inside, itself first."""
    yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from nodes(inner)
