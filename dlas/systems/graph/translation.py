"""A decomposed PyTorch program in Relax, by TVM's importer and our converters."""

from __future__ import annotations

import tvm
from torch.export import ExportedProgram
from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

from dlas.errors import UserError, last_line
from dlas.models.graph.places import told
from dlas.systems.graph import trusted_operators
from dlas.systems.graph.converters import CONVERTERS


def translated(program: ExportedProgram) -> tvm.IRModule:
    """`main(input, *parameters)`, one dataflow block, with the parameters' values in its attributes.

    NetworkNotTaken, which tells the layers' names, for what is not trusted to be compiled rightly, or can't
    be.
    """
    trusted_operators.require_trusted(program)
    importer = ExportedProgramImporter()
    try:
        return importer.from_exported_program(
            program,
            keep_params_as_input=True,
            unwrap_unit_return_tuple=True,
            no_bind_return_tuple=False,
            custom_convert_map=dict(CONVERTERS),
        )
    except UserError:
        raise
    except Exception as error:  # whatever the importer raises for arguments that it does not know
        nodes = (node for node in program.graph.nodes if node.op == "call_function")
        failed = next((node for node in nodes if node not in importer.env), None)
        if failed is None:
            raise
        place = f"{told(failed)}: {last_line(error)}"
        raise trusted_operators.refusal([place], [trusted_operators.OTHER]) from error
