"""The tensors that an exported program reads beside its images: parameters, buffers and constants."""

from __future__ import annotations

import re
from itertools import count

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, OutputKind, TensorArgument
from torch.fx import Node


def tensors(program: ExportedProgram) -> dict[Node, torch.Tensor]:
    """The value of each placeholder that is no image."""
    known = {**program.constants, **program.state_dict}
    placeholders = {node.name: node for node in program.graph.find_nodes(op="placeholder")}
    return {
        placeholders[spec.arg.name]: known[spec.target]
        for spec in program.graph_signature.input_specs
        if spec.target in known
    }


def names(program: ExportedProgram) -> dict[Node, str]:
    """The name in the state dict of each placeholder that is a parameter."""
    known = program.graph_signature.inputs_to_parameters
    return {
        node: known[node.name] for node in program.graph.find_nodes(op="placeholder") if node.name in known
    }


def add_parameter(program: ExportedProgram, name: str, value: torch.Tensor) -> Node:
    """Adds a placeholder for a parameter of that name in the state dict.

    A placeholder that has the name already has to be unused: `drop_unused` removes it.
    """
    parameter = torch.nn.Parameter(value.detach(), requires_grad=False)
    return _added(program, InputKind.PARAMETER, name, parameter)


def add_buffer(program: ExportedProgram, name: str, value: torch.Tensor) -> Node:
    """Adds a placeholder for a buffer of that name in the state dict, with a number behind it where another
    has the name."""
    taken = {spec.target for spec in program.graph_signature.input_specs}
    names = (name if number == 1 else f"{name}_{number}" for number in count(1))
    free = next(each for each in names if each not in taken)
    return _added(program, InputKind.BUFFER, free, value.detach())


def drop_updates(program: ExportedProgram) -> None:
    """Leave the answers alone among what a program gives: what a network writes into its buffers is for calls
    that there are none of."""
    output = program.graph.output_node()
    pairs = zip(program.graph_signature.output_specs, output.args[0], strict=True)
    kept = [(spec, given) for spec, given in pairs if spec.kind == OutputKind.USER_OUTPUT]
    output.args = (tuple(given for _, given in kept),)
    program.graph_signature.output_specs[:] = [spec for spec, _ in kept]


def drop_unused(program: ExportedProgram) -> None:
    """Remove what no output depends on, placeholders of parameters, buffers and constants included."""
    program.graph.eliminate_dead_code()
    placeholders = {node.name: node for node in program.graph.find_nodes(op="placeholder")}
    kept = []
    for spec in program.graph_signature.input_specs:
        node = placeholders[spec.arg.name]
        if spec.kind == InputKind.USER_INPUT or node.users:
            kept.append(spec)
        else:
            program.graph.erase_node(node)
    program.graph_signature.input_specs[:] = kept
    read = {spec.target for spec in kept}
    for known in (program.state_dict, program.constants):
        for name in [name for name in known if name not in read]:
            del known[name]
    program.graph_module.recompile()


def _added(program: ExportedProgram, kind: InputKind, name: str, value: torch.Tensor) -> Node:
    first = next(iter(program.graph.nodes))
    with program.graph.inserting_before(first):
        node: Node = program.graph.placeholder(re.sub(r"\W", "_", f"state_{name}"))
    node.meta["val"] = _fake(first, value)
    spec = InputSpec(kind, TensorArgument(node.name), name, True if kind == InputKind.BUFFER else None)
    program.graph_signature.input_specs.insert(0, spec)
    program.state_dict[name] = value
    return node


def _fake(placeholder: Node, value: torch.Tensor) -> torch.Tensor:
    """The shape and the type of `value`, as the graph keeps them beside its nodes."""
    known = placeholder.meta["val"]
    assert isinstance(known, FakeTensor)
    return known.fake_mode.from_tensor(value, static_shapes=True)
