"""TVM 0.19 schedules in TVM 0.27: the text of a lowered TensorIR function, rewritten over its syntax tree.

Ansor left TVM after 0.19, so its schedules are lowered there to plain loops and printed as TVMScript. The
dialect has changed since: allocations, views of buffers, attribute values and pragmas are written otherwise.

A script is a Python program that TVM's parser evaluates in part. So every construct must be on the list of
those that are known to mean the same in both; any other is refused by its name. That keeps a schedule from
changing its meaning, and a stranger's text from running code.
"""

from __future__ import annotations

import ast
import keyword
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

ATTRIBUTES = {"from_legacy_te_schedule", "tir.noalias"}
PRAGMAS = {"pragma_auto_unroll_max_step", "pragma_unroll_explicit"}
LOOPS = {"parallel", "vectorized", "unroll", "serial"}
SCOPES = {"global", "local"}
DTYPES = {"float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64"}
BINARY = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
FUNCTIONS = {"if_then_else": 3, "min": 2, "max": 2}
"""Functions of `T` over expressions, and how many they take."""


class CannotCarry(Exception):
    """A construct of TVM 0.19's text that is not known to mean the same in TVM 0.27."""

    def __init__(self, construct: str, line: int = 0) -> None:
        self.construct = construct
        where = f" (line {line})" if line else ""
        super().__init__(f"cannot carry over {construct} to TVM 0.27{where}")


def carry_over(script: str, name: str = "main") -> PrimFunc:
    """TVM 0.27's PrimFunc called `name` for the text of a function or module that TVM 0.19 lowered.

    CannotCarry where the text holds anything that is not known to mean the same in both.
    """
    from tvm.error import DiagnosticError
    from tvm.script import from_source, tirx

    text = rewrite(script, name)
    try:
        return from_source(text, {"T": tirx})
    except DiagnosticError as error:
        raise CannotCarry(f"the function ({error})") from error


def rewrite(script: str, name: str = "main") -> str:
    """`script` (TVM 0.19's TVMScript) as one function called `name` of TVM 0.27's TVMScript."""
    try:
        tree = ast.parse(script)
        return ast.unparse(_Rewriter().function(_only_function(tree), name))
    except (SyntaxError, ValueError) as error:
        raise CannotCarry(f"a text that is not TVMScript: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise CannotCarry("expressions nested this deeply") from error


def _only_function(tree: ast.Module) -> ast.FunctionDef:
    """The function of `tree`, by itself or as the only member of a module class."""
    if len(tree.body) != 1:
        raise CannotCarry(f"a text with {len(tree.body)} top-level statements")
    member = tree.body[0]
    if isinstance(member, ast.ClassDef):
        plain = not member.bases and not member.keywords
        if not plain or [ast.unparse(d) for d in member.decorator_list] != ["I.ir_module"]:
            _refuse(member, "this class")
        if len(member.body) != 1:
            _refuse(member, f"a module with {len(member.body)} members")
        member = member.body[0]
    if not isinstance(member, ast.FunctionDef):
        _refuse(member)
    return member


@dataclass(frozen=True)
class _Array:
    """An array that may be subscripted: `name` in the new text, of `dtype` in `scope`, given or allocated."""

    name: str
    dtype: str
    scope: str
    given: bool


class _LoopVariable: ...


class _PragmaVariable:
    """A variable that exists only to hang a pragma on."""


_Binding = _Array | _LoopVariable | _PragmaVariable


class _Rewriter:
    """One pass over a function, knowing what each name in sight stands for."""

    def __init__(self) -> None:
        self.names: dict[str, _Binding] = {}

    def function(self, function: ast.FunctionDef, name: str) -> ast.Module:
        if [ast.unparse(decorator) for decorator in function.decorator_list] != ["T.prim_func"]:
            _refuse(function, "a function that is not just a T.prim_func")
        given = function.args
        if given.posonlyargs or given.vararg or given.kwonlyargs or given.kwarg or given.defaults:
            _refuse(function, "parameters other than plain buffers")
        if function.returns is not None:
            _refuse(function.returns, "a return annotation")
        _check_name(name, function)
        parameters = ", ".join(self.parameter(argument) for argument in given.args)
        attributes, *body = function.body
        _check_attributes(attributes)
        module = ast.parse(
            f"@T.prim_func(s_tir=True)\ndef {name}({parameters}):\n    T.func_attr({{'tirx.noalias': True}})"
        )
        definition = module.body[0]
        assert isinstance(definition, ast.FunctionDef)
        definition.body += self.block(body)
        return ast.fix_missing_locations(module)

    def parameter(self, argument: ast.arg) -> str:
        call = argument.annotation
        if (
            not isinstance(call, ast.Call)
            or _called(call) != "Buffer"
            or call.keywords
            or len(call.args) != 2
        ):
            _refuse(argument, f"the parameter {argument.arg}, which is not a plain T.Buffer")
        shape, dtype = _shape(call.args[0]), _one_of(call.args[1], DTYPES, "data type")
        self.bind(argument.arg, _Array(argument.arg, dtype, "global", given=True), argument)
        return f"{argument.arg}: T.Buffer({shape}, '{dtype}')"

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """The statements in the new dialect; what they define is not seen after them."""
        outside = dict(self.names)
        rewritten = self.sequence(statements)
        self.names = outside
        return rewritten

    def sequence(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """The statements in the new dialect; a bare pragma holds for all that follow it."""
        result: list[ast.stmt] = []
        for index, statement in enumerate(statements):
            if isinstance(statement, ast.Expr):
                pragma = self.pragma(statement.value)
                return [*result, self.annotated([pragma], statements[index + 1 :])]
            result += self.statement(statement)
        return result

    def statement(self, statement: ast.stmt) -> list[ast.stmt]:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                return self.definition(name, call)
            case ast.Assign(targets=[ast.Subscript() as target], value=value):
                return [ast.Assign([self.element(target)], self.expression(value))]
            case ast.For(orelse=[]):
                return [self.loop(statement)]
            case ast.If(test=test, body=body, orelse=orelse):
                return [ast.If(self.expression(test), self.block(body), self.block(orelse))]
            case ast.With(items=[ast.withitem(ast.Call() as call, ast.Name(id=name))], body=body):
                return [*self.allocation(name, call), *self.sequence(body)]
            case ast.With(items=[ast.withitem(context, None)], body=body):
                return [self.annotated([self.pragma(context)], body)]
        _refuse(statement)

    def definition(self, name: str, call: ast.Call) -> list[ast.stmt]:
        match _called(call):
            case "allocate":
                return self.allocation(name, call)
            case "Buffer":
                return self.view(name, call)
            case "int32" if not call.args and not call.keywords:
                self.bind(name, _PragmaVariable(), call)
                return []
        _refuse(call, f"{name} = {ast.unparse(call.func)}(...)")

    def allocation(self, name: str, call: ast.Call) -> list[ast.stmt]:
        if _called(call) != "allocate" or len(call.args) != 3 or call.keywords:
            _refuse(call, f"{name} = {ast.unparse(call.func)}(...)")
        shape, dtype = _shape(call.args[0]), _one_of(call.args[1], DTYPES, "data type")
        scope = _one_of(call.args[2], SCOPES, "storage scope")
        if len(shape) != 1:
            _refuse(call, f"an allocation of {len(shape)} dimensions")
        self.bind(name, _Array(name, dtype, scope, given=False), call)
        return ast.parse(f"{name} = T.alloc_buffer({shape}, '{dtype}', scope='{scope}')").body

    def view(self, name: str, call: ast.Call) -> list[ast.stmt]:
        """A flat view: of a parameter it stays one; an allocation is flat already and goes by its own name.

        TVM 0.27 plans storage per buffer: a second name for an allocation can make it put two live
        arrays in one place.
        """
        keywords = {str(word.arg): word.value for word in call.keywords}
        if unknown := keywords.keys() - {"data", "scope", "align"}:
            _refuse(call, f"T.Buffer(..., {min(unknown)}=...)")
        if len(call.args) not in (1, 2) or "data" not in keywords:
            _refuse(call, f"{name}, a T.Buffer without its shape or its data")
        dtype = _one_of(call.args[1], DTYPES, "data type") if len(call.args) == 2 else "float32"
        scope = _one_of(keywords["scope"], SCOPES, "storage scope") if "scope" in keywords else "global"
        array = self.viewed(keywords["data"])
        if (dtype, scope) != (array.dtype, array.scope):
            _refuse(call, f"a {scope} {dtype} view of the {array.scope} {array.dtype} buffer {array.name}")
        if not isinstance(call.args[0], ast.Tuple) or len(call.args[0].elts) != 1:
            _refuse(call, f"a view of the shape {ast.unparse(call.args[0])}")
        if "align" in keywords:
            _natural(keywords["align"])  # how an allocation is aligned is for its own compiler to say
        if not array.given:
            self.bind(name, array, call)
            return []
        self.bind(name, _Array(name, dtype, scope, given=True), call)
        shape = _shape(call.args[0])
        return ast.parse(f"{name} = T.decl_buffer({shape}, '{dtype}', data={array.name}.data)").body

    def viewed(self, data: ast.expr) -> _Array:
        """The array with these data: a buffer's (`name.data`) or an allocation's (`name`)."""
        base = data.value if isinstance(data, ast.Attribute) and data.attr == "data" else data
        array = self.names.get(base.id) if isinstance(base, ast.Name) else None
        if not isinstance(array, _Array):
            _refuse(data, f"data={_short(data)}")
        return array

    def loop(self, loop: ast.For) -> ast.For:
        call = loop.iter
        kind = "range" if isinstance(call, ast.Call) and ast.unparse(call.func) == "range" else _called(call)
        if not isinstance(call, ast.Call) or call.keywords or kind not in LOOPS | {"grid", "range"}:
            _refuse(loop, f"a loop over {ast.unparse(call)}")
        variables = loop.target.elts if isinstance(loop.target, ast.Tuple) else [loop.target]
        names = [variable.id for variable in variables if isinstance(variable, ast.Name)]
        if (
            len(names) != len(variables)
            or len(names) != len(call.args)
            or (len(names) > 1 and kind != "grid")
        ):
            _refuse(loop, f"a loop of {ast.unparse(loop.target)} over {ast.unparse(call)}")
        extents = [self.expression(extent) for extent in call.args]
        outside = dict(self.names)
        for name in names:
            self.bind(name, _LoopVariable(), loop)
        body = self.block(loop.body)
        self.names = outside
        if kind == "vectorized" and _allocates(body):
            # Each turn has an array of its own; TVM 0.27 gives one to all lanes, and the last lane's value.
            kind = "serial"
        function = ast.Name("range") if kind == "range" else _t(kind)
        return ast.For(loop.target, ast.Call(function, extents, []), body, [])

    def pragma(self, node: ast.expr) -> tuple[str, int]:
        """Name and value of `T.attr(T.iter_var(variable, None, "DataPar", ""), name, value)`."""
        match node:
            case ast.Call(args=[place, ast.Constant(value=str(name)), value], keywords=[]) if (
                _called(node) == "attr"
            ):
                if name not in PRAGMAS:
                    _refuse(node, f"the attribute {name}")
                self.check_pragma_place(place)
                return name, _natural(value)
        _refuse(node, f"the statement {_short(node)}")

    def check_pragma_place(self, place: ast.expr) -> None:
        match place:
            case ast.Call(args=[ast.Name(id=name), *rest], keywords=[]) if _called(place) == "iter_var":
                known = isinstance(self.names.get(name), _PragmaVariable)
                if known and [ast.unparse(argument) for argument in rest] == ["None", "'DataPar'", "''"]:
                    return
        _refuse(place, f"a pragma on {_short(place)}")

    def annotated(self, pragmas: list[tuple[str, int]], statements: list[ast.stmt]) -> ast.stmt:
        """`statements` in a loop of one turn that bears the pragmas: an attribute's place in TVM 0.27."""
        while statements:
            match statements[0]:
                case ast.Expr(value=attribute):
                    pragmas, statements = [*pragmas, self.pragma(attribute)], statements[1:]
                case ast.With(items=[ast.withitem(attribute, None)], body=body) if len(statements) == 1:
                    pragmas, statements = [*pragmas, self.pragma(attribute)], body
                case _:
                    break
        if not statements:
            raise CannotCarry("a pragma over nothing")
        if len(dict(pragmas)) != len(pragmas):
            _refuse(statements[0], "a pragma given twice in one place")
        loop = ast.parse(f"for _ in T.serial(1, annotations={dict(pragmas)!r}):\n    pass").body[0]
        assert isinstance(loop, ast.For)
        loop.body = self.block(statements)
        return loop

    def expression(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Constant(value=int(value)) if not isinstance(value, bool):
                return node
            case ast.Name(id=name) if isinstance(self.names.get(name), _LoopVariable):
                return node
            case ast.BinOp(left=left, op=op, right=right) if isinstance(op, BINARY):
                return ast.BinOp(self.expression(left), op, self.expression(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if isinstance(op, COMPARISONS):
                return ast.Compare(self.expression(left), [op], [self.expression(right)])
            case ast.BoolOp(op=op, values=values):
                return ast.BoolOp(op, [self.expression(value) for value in values])
            case ast.Subscript():
                return self.element(node)
            case ast.Call(args=[constant], keywords=[]) if _called(node) == "float32":
                return ast.Call(_t("float32"), [_number(constant)], [])
            case ast.Call(args=arguments, keywords=[]) if FUNCTIONS.get(_called(node)) == len(arguments):
                return ast.Call(_t(_called(node)), [self.expression(argument) for argument in arguments], [])
            case ast.Call(func=function):
                _refuse(node, f"the call of {_short(function)}")
        _refuse(node, f"the {type(node).__name__} {_short(node)}")

    def element(self, node: ast.Subscript) -> ast.Subscript:
        array = self.names.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if not isinstance(array, _Array):
            _refuse(node, f"an element of {_short(node.value)}")
        indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        place = [self.expression(index) for index in indices]
        return ast.Subscript(
            ast.Name(array.name), place[0] if len(place) == 1 else ast.Tuple(place), node.ctx
        )

    def bind(self, name: str, binding: _Binding, node: ast.AST) -> None:
        """Bind the name. Only a pragma's variable may give its name to another thing: the loop
        that it came from."""
        _check_name(name, node)
        if not isinstance(self.names.get(name), _PragmaVariable | None):
            _refuse(node, f"the name {name} bound a second time")
        self.names[name] = binding


def _check_attributes(statement: ast.stmt) -> None:
    match statement:
        case ast.Expr(value=ast.Call(args=[ast.Dict(keys=keys, values=values)], keywords=[]) as call) if (
            _called(call) == "func_attr"
        ):
            for key, value in zip(keys, values, strict=True):
                if not isinstance(key, ast.Constant) or key.value not in ATTRIBUTES:
                    _refuse(statement, f"the function attribute {ast.unparse(key) if key else '**'}")
                if ast.unparse(value) != "T.bool(True)":
                    _refuse(value, f"the function attribute {key.value} = {_short(value)}")
        case _:
            _refuse(statement, "a function that does not begin with its attributes")


def _t(name: str) -> ast.Attribute:
    return ast.Attribute(ast.Name("T"), name)


def _called(node: ast.AST) -> str:
    """Name of the function of `T` that is called; "" for anything else."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="T"), attr=name)):
            return name
    return ""


def _allocates(statements: list[ast.stmt]) -> bool:
    """Whether the rewritten statements hold an allocation."""
    return any(_called(node) == "alloc_buffer" for statement in statements for node in ast.walk(statement))


def _check_name(name: str, node: ast.AST) -> None:
    usable = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
    if not usable or name in {"T", "range"}:
        _refuse(node, f"the name {name}")


def _one_of(node: ast.expr, known: set[str], what: str) -> str:
    if not isinstance(node, ast.Constant) or node.value not in known:
        _refuse(node, f"{what} {ast.unparse(node)}")
    return str(node.value)


def _natural(node: ast.expr) -> int:
    if not isinstance(node, ast.Constant) or type(node.value) is not int or node.value < 0:
        _refuse(node, f"{ast.unparse(node)} where a constant number belongs")
    return node.value


def _number(node: ast.expr) -> ast.expr:
    """A float constant, perhaps with its sign."""
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    if not isinstance(inner, ast.Constant) or type(inner.value) not in (int, float):
        _refuse(node, f"T.float32({ast.unparse(node)})")
    return node


def _shape(node: ast.expr) -> tuple[int, ...]:
    if not isinstance(node, ast.Tuple | ast.List) or not node.elts:
        _refuse(node, f"the shape {_short(node)}")
    for extent in node.elts:
        if not isinstance(extent, ast.Constant):
            _refuse(extent, f"an extent that is not constant: {_short(extent)}")
    return tuple(_natural(extent) for extent in node.elts)


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 80 else text[:77] + "..."


def _refuse(node: ast.AST, construct: str = "") -> NoReturn:
    raise CannotCarry(construct or f"a {type(node).__name__} statement", getattr(node, "lineno", 0))
