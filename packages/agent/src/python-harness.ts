/**
 * The Python side of the `python` tool, as source text: parses a call, decides whether it could change anything that outlives it, runs it in a fresh namespace, and words the
 * outcome. It runs before and around a model's code inside Pyodide.
 *
 * `prepare(code)` says true only for code made of allowed syntax, allowed names and allowed attributes: arithmetic, comparisons, containers, loops, functions, exceptions, and
 * C-implemented or immutable parts of a few modules. Such code can store into its own names and its own containers, and into nothing else: attribute stores, unlisted attributes,
 * unlisted builtins, other imports, classes, decorators and every name that starts with two underscores are outside of the list. That list is what keeps one call from another,
 * so it is an allow list; it is no defence of the host, which does not depend on it (python-process.ts).
 */
export const pythonHarness: string = String.raw`
import ast as _ast, builtins as _builtins, json as _json, random as _random, sys as _sys, traceback as _traceback, warnings as _warnings
import bisect, cmath, collections, datetime, decimal, fractions, functools, heapq, itertools, math, operator, re, statistics, string, textwrap, typing, dataclasses

_warnings.simplefilter('ignore')
_random.seed(0)

_nodes = frozenset(getattr(_ast, name) for name in '''
    Module Expression Expr Assign AugAssign NamedExpr For While If Break Continue Pass Try ExceptHandler Raise Assert FunctionDef Return Lambda arguments arg keyword Call
    Global Nonlocal Import ImportFrom alias Delete Name Load Store Del Constant Attribute Subscript Slice Starred List Tuple Dict Set ListComp SetComp DictComp GeneratorExp
    comprehension Yield IfExp JoinedStr FormattedValue BinOp UnaryOp BoolOp Compare Add Sub Mult Div Mod Pow LShift RShift BitOr BitXor BitAnd FloorDiv MatMult
    Invert Not UAdd USub And Or Eq NotEq Lt LtE Gt GtE Is IsNot In NotIn'''.split())

_names = frozenset('''
    abs all any ascii bin bool bytes callable chr complex dict divmod enumerate filter float format frozenset hash hex int isinstance issubclass iter len list map max min next
    oct ord pow print range repr reversed round set slice sorted str sum tuple zip True False None NotImplemented Ellipsis
    ArithmeticError AssertionError AttributeError BaseException Exception FloatingPointError ImportError IndexError KeyError LookupError MemoryError NameError
    NotImplementedError OverflowError RecursionError RuntimeError StopIteration SyntaxError TypeError UnicodeError ValueError ZeroDivisionError'''.split())

_modules = {
    'math': frozenset(n for n in dir(math) if n[0] != '_'),
    'cmath': frozenset(n for n in dir(cmath) if n[0] != '_'),
    'itertools': frozenset(n for n in dir(itertools) if n[0] != '_'),
    'fractions': frozenset(['Fraction']),
    'functools': frozenset(['reduce']),
    'collections': frozenset(['Counter', 'defaultdict', 'deque']),
}

_attributes = frozenset().union(*_modules.values(), '''
    append appendleft extend extendleft insert pop popleft popitem remove sort reverse rotate index count copy clear keys values items get update setdefault fromkeys
    add discard union intersection difference symmetric_difference issubset issuperset isdisjoint most_common elements total subtract
    join split rsplit splitlines partition rpartition strip lstrip rstrip replace upper lower title capitalize casefold swapcase startswith endswith find rfind rindex
    removeprefix removesuffix isdigit isalpha isalnum isspace isupper islower isnumeric isdecimal zfill ljust rjust center encode decode
    bit_length bit_count is_integer as_integer_ratio conjugate real imag numerator denominator limit_denominator'''.split())

_known = frozenset(dir(_builtins))
_scope = {name: getattr(_builtins, name) for name in _names}
_scope['__import__'] = _builtins.__import__

def _contained(node):
    kind = type(node)
    if kind not in _nodes:
        return False
    if kind is _ast.Constant:
        return True
    for field in kind._fields:
        value = getattr(node, field, None)
        for text in value if type(value) is list else (value,):
            if type(text) is str and text[:2] == '__':
                return False
    if kind is _ast.Name:
        return node.id in _names or node.id not in _known
    if kind is _ast.Attribute:
        return type(node.ctx) is _ast.Load and node.attr in _attributes
    if kind is _ast.Import:
        return all(a.name in _modules for a in node.names)
    if kind is _ast.ImportFrom:
        return node.level == 0 and node.module in _modules and all(a.name in _modules[node.module] for a in node.names)
    if kind is _ast.FunctionDef:
        return not node.decorator_list
    return True

_next = None

def prepare(code):
    """True: nothing that this code can do outlives it."""
    global _next
    try:
        tree = _ast.parse(code, '<exec>')
        nodes = list(_ast.walk(tree))
        # the clean-up of a generator that nobody finished would run when it is collected, which may be in a later call
        contained = not {_ast.Yield, _ast.Try}.issubset(map(type, nodes)) and all(map(_contained, nodes))
        _next = (tree, None, contained)
    except BaseException as error:
        _next = (None, error.with_traceback(None), True)
        contained = True
    return contained

def _short(text, limit):
    return text if len(text) <= 2 * limit else text[:limit] + text[-limit:]

def _flush():
    for stream in (_stdout, _stderr, _sys.stdout, _sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass

def _evaluate(tree, contained):
    scope = {'__name__': '__main__', '__builtins__': dict(_scope) if contained else _builtins}
    last = tree.body.pop() if tree.body and type(tree.body[-1]) is _ast.Expr else None
    if tree.body:
        exec(compile(tree, '<exec>', 'exec'), scope)
    if last is None:
        return None
    value = eval(compile(_ast.Expression(last.value), '<exec>', 'eval'), scope)
    return None if value is None else repr(value)

def execute(limit):
    """JSON of [repr of the last expression or null, last line of the traceback or null], each of at most 2 * limit characters."""
    global _next
    (tree, refused, contained), _next = _next, None
    value = error = None
    try:
        if refused is not None:
            raise refused
        value = _evaluate(tree, contained)
    except BaseException as raised:
        try:
            error = _traceback.format_exception_only(raised)[-1].strip().split('\n')[-1]
        except BaseException:
            error = type(raised).__name__
    finally:
        tree = refused = None
        _flush()
    return _json.dumps([None if value is None else _short(value, limit), None if error is None else _short(error, limit)])

def begin():
    """After the streams stand: bridges to JavaScript are taken out of the modules (for plain error messages; the process is what is closed)."""
    global _stdout, _stderr
    _stdout, _stderr = _sys.stdout, _sys.stderr
    closed = ('js', 'pyodide_js', 'pyodide', '_pyodide', '_pyodide_core', 'micropip', 'socket', '_socket', 'ssl', '_ssl')
    class Closed:
        def find_spec(self, name, path=None, target=None):
            if name.split('.')[0] in closed:
                raise ImportError(f'no module named {name!r} in this sandbox')
    for name in [n for n in _sys.modules if n.split('.')[0] in closed]:
        del _sys.modules[name]
    _sys.meta_path.insert(0, Closed())
`
