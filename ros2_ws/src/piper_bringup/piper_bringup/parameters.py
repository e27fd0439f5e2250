"""Parameters of a node: declared from its defaults, read once at start, unknown names refused.

ROS 2 accepts any name on the command line and in a YAML file and ignores those that no node declares, so a
misspelt limit would silently keep its default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rcl_interfaces.msg import ParameterDescriptor

if TYPE_CHECKING:
    from rclpy.node import Node

SCALARS = (bool, int, float, str)


class ParameterError(ValueError):
    """A parameter is unknown or has the wrong type."""


def load(node: Node, defaults: Mapping[str, object]) -> dict[str, object]:
    """Declare `defaults` on `node` with what -p and YAML files override, and return the values by name.

    defaults: dotted name -> bool, int, float, str or a non-empty list of one of these.
    The parameters are read-only afterwards: `ros2 param set` is refused instead of having no effect.
    Raises ParameterError for an override that is in neither `defaults` nor the node's own parameters.
    """
    # rclpy has no public way to see overrides that no declaration asked for.
    overrides = {name: parameter.value for name, parameter in node._parameter_overrides.items()}
    own = node.list_parameters([], 0).names
    values = merge(node.get_name(), defaults, overrides, own)
    for name, value in values.items():
        node.declare_parameter(name, value, ParameterDescriptor(read_only=True), ignore_override=True)
    return values


def merge(
    where: str, defaults: Mapping[str, object], overrides: Mapping[str, object], own: Iterable[str] = ()
) -> dict[str, object]:
    """`defaults` with `overrides` on top; a whole number is accepted where the default is a float.

    where: name of the node, for the message. own: names that the node itself declared (use_sim_time, ...).
    """
    accepted = {*defaults, *own}
    unknown = sorted(n for n in overrides if n not in accepted and not n.startswith("qos_overrides."))
    if unknown:
        names = ", ".join(repr(name) for name in unknown)
        raise ParameterError(f"{where}: unknown parameter {names}; valid: {', '.join(sorted(defaults))}")
    return {
        name: _like(where, name, default, overrides[name]) if name in overrides else default
        for name, default in defaults.items()
    }


def _like(where: str, name: str, default: object, value: object) -> object:
    """`value` in the type of `default`."""
    wrong = f"{where}: parameter {name!r} is {value!r}, expected {type(default).__name__} like {default!r}"
    if isinstance(default, list):
        if isinstance(value, SCALARS):  # arrays arrive as array.array or list
            raise ParameterError(wrong)
        return [_like(where, name, default[0], item) for item in value]
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise ParameterError(wrong)
    return value
