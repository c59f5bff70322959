"""Finds the AWS calls of a script without running it.

Every name, attribute and function has a set of what it may be, which grows until
nothing is added: order and branches do not count. Containers are what they
contain. What cannot be followed is said to be unresolved, and not guessed.
"""
import ast

import lookup

ROUNDS = 12
MAX_SET = 40
MAX_CALLS = 2000
MAX_LISTS = 100
CONTAINER = {"get", "values", "items", "pop", "setdefault", "copy", "append", "popitem", "keys"}
NOT_OPERATIONS = {"can_paginate", "close", "generate_presigned_url", "generate_presigned_post", "waiter_names", "exceptions", "meta"}
TRANSFER = {
    "upload_file": ["put_object"], "upload_fileobj": ["put_object"], "download_file": ["head_object", "get_object"],
    "download_fileobj": ["head_object", "get_object"], "copy": ["head_object", "copy_object"],
}
# Values are tuples: what they are, and of what.
SESSION = ("session",)
# Bound to a parameter for an argument that cannot be followed.
ANYTHING = ("anything",)


def analyze(source):
    """Gives the facts of one script as plain values."""
    try:
        tree = ast.parse(source)
    except SyntaxError as e:
        return {"error": {"line": e.lineno or 1, "column": e.offset or 1, "message": str(e.msg)[:500]}}
    except (ValueError, RecursionError, MemoryError) as e:
        return {"error": {"line": 1, "column": 1, "message": f"{type(e).__name__}: {e}"[:500]}}
    try:
        return _Analysis(tree).facts()
    except RecursionError:
        return {"unresolved": [{"line": 1, "what": "the script is nested too deep to be followed"}]}


def _own(function):
    """The nodes of a function without those of functions in it."""
    todo = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(node))


class _Scope:
    def __init__(self, parent, name):
        self.parent = parent
        self.name = name
        self.names = {}

    def find(self, name):
        scope = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return frozenset()


class _Analysis:
    def __init__(self, tree):
        self._tree = tree
        self._module = _Scope(None, "")
        self._scopes = {}
        self._attributes = {}
        self._returns = {}
        self._functions = {}
        self._classes = {}
        self._changed = False
        self._imports = set()
        self._calls = {}
        self._unresolved = {}

    def facts(self):
        for _ in range(ROUNDS):
            self._changed = False
            self._calls, self._unresolved = {}, {}
            self._block(self._tree.body, self._module)
            if not self._changed:
                break
        calls = [{"service": s, "operation": o, "line": line} for (s, o, line) in self._calls]
        return {
            "imports": sorted(self._imports)[:500],
            "calls": sorted(calls, key=lambda c: (c["line"], c["service"], c["operation"]))[:MAX_CALLS],
            "unresolved": [{"line": line, "what": what} for (line, what) in sorted(self._unresolved)][:500],
            "lists": self._lists(),
        }

    def _lists(self):
        """The lists that functions at the left margin return as they are written, longest first."""
        found = []
        for function in self._tree.body:
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in _own(function):
                    if isinstance(node, ast.Return) and isinstance(node.value, (ast.List, ast.Tuple)):
                        # What is unpacked into a list may be empty.
                        items = sum(not isinstance(e, ast.Starred) for e in node.value.elts)
                        found.append({"function": function.name, "line": node.lineno, "items": items})
        return sorted(found, key=lambda f: -f["items"])[:MAX_LISTS]

    # What is known grows.

    def _grow(self, table, key, values):
        old = table.get(key, frozenset())
        new = old | values
        if len(new) > MAX_SET:
            return
        if new != old:
            table[key] = new
            self._changed = True

    def _say(self, node, what):
        self._unresolved[getattr(node, "lineno", 1), what] = True

    def _call_of(self, service, operation, node):
        self._calls[service, operation, getattr(node, "lineno", 1)] = True

    # Statements.

    def _block(self, body, scope):
        for statement in body:
            self._statement(statement, scope)

    def _statement(self, node, scope):
        kind = type(node).__name__
        method = getattr(self, "_do_" + kind, None)
        if method is not None:
            method(node, scope)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self._statement(child, scope)
            elif isinstance(child, ast.expr):
                self._eval(child, scope)
            else:
                self._other(child, scope)

    def _other(self, node, scope):
        """Handlers of exceptions, items of with, cases of match."""
        if isinstance(node, ast.withitem):
            values = self._eval(node.context_expr, scope)
            if node.optional_vars is not None:
                self._assign(node.optional_vars, values, scope)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self._statement(child, scope)
            elif isinstance(child, ast.expr):
                self._eval(child, scope)
            else:
                self._other(child, scope)

    def _do_Import(self, node, scope):
        for alias in node.names:
            first = alias.name.split(".")[0]
            self._imports.add(first)
            if first in ("boto3", "botocore"):
                full = alias.name if alias.asname else first
                self._grow(scope.names, alias.asname or first, frozenset([("module", full)]))

    def _do_ImportFrom(self, node, scope):
        module = node.module or ""
        if node.level == 0 and module:
            self._imports.add(module.split(".")[0])
        if module.split(".")[0] not in ("boto3", "botocore"):
            return
        for alias in node.names:
            self._grow(scope.names, alias.asname or alias.name, self._member(("module", module), alias.name, node))

    def _do_FunctionDef(self, node, scope):
        key = id(node)
        if key not in self._scopes:
            outer = scope
            while outer is not None and outer.name == "class":
                outer = outer.parent
            self._scopes[key] = _Scope(outer, "function")
            self._functions[key] = node
        for expression in [*node.decorator_list, *node.args.defaults, *[d for d in node.args.kw_defaults if d is not None]]:
            self._eval(expression, scope)
        self._defaults(node, scope)
        self._grow(scope.names, node.name, frozenset([("function", key)]))
        self._block(node.body, self._scopes[key])

    _do_AsyncFunctionDef = _do_FunctionDef

    def _defaults(self, node, scope):
        own = self._scopes[id(node)]
        positional = [*node.args.posonlyargs, *node.args.args]
        for arg, default in zip(positional[len(positional) - len(node.args.defaults):], node.args.defaults):
            self._grow(own.names, arg.arg, self._eval(default, scope))
        for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults):
            if default is not None:
                self._grow(own.names, arg.arg, self._eval(default, scope))
        for arg in [*positional, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]:
            if arg is not None:
                own.names.setdefault(arg.arg, frozenset())

    def _do_ClassDef(self, node, scope):
        key = id(node)
        inner = self._scopes.setdefault(key, _Scope(scope, "class"))
        self._classes[key] = node
        for base in node.bases:
            self._eval(base, scope)
        self._grow(scope.names, node.name, frozenset([("class", key)]))
        self._block(node.body, inner)
        for name, values in inner.names.items():
            self._grow(self._attributes, name, values)

    def _do_Return(self, node, scope):
        if node.value is None:
            return
        values = self._eval(node.value, scope)
        for key, own in self._scopes.items():
            if own is scope:
                self._grow(self._returns, key, values)

    def _do_Assign(self, node, scope):
        values = self._eval(node.value, scope)
        for target in node.targets:
            self._assign(target, values, scope)

    def _do_AnnAssign(self, node, scope):
        if node.value is not None:
            self._assign(node.target, self._eval(node.value, scope), scope)

    def _do_AugAssign(self, node, scope):
        self._assign(node.target, self._eval(node.value, scope), scope)

    def _do_For(self, node, scope):
        self._assign(node.target, self._eval(node.iter, scope), scope)
        self._block(node.body, scope)
        self._block(node.orelse, scope)

    _do_AsyncFor = _do_For

    def _do_Global(self, node, scope):
        for name in node.names:
            scope.names.pop(name, None)

    def _assign(self, target, values, scope):
        if isinstance(target, ast.Name):
            where = scope
            if scope.name == "function" and self._is_global(target.id, scope):
                where = self._module
            self._grow(where.names, target.id, values)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for element in target.elts:
                self._assign(element, values, scope)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, values, scope)
        elif isinstance(target, ast.Attribute):
            self._eval(target.value, scope)
            self._grow(self._attributes, target.attr, values)
        elif isinstance(target, ast.Subscript):
            self._eval(target.slice, scope)
            self._assign_container(target.value, values, scope)

    def _assign_container(self, node, values, scope):
        """What is put into a container, the container is from then on."""
        if isinstance(node, ast.Name) and not scope.names.get(node.id) and scope.find(node.id) is not None:
            where = scope
            while where is not None and node.id not in where.names:
                where = where.parent
            self._grow((where or scope).names, node.id, values)
            return
        self._assign(node, values, scope)

    def _is_global(self, name, scope):
        for key, own in self._scopes.items():
            if own is scope and key in self._functions:
                return any(isinstance(n, ast.Global) and name in n.names for n in ast.walk(self._functions[key]))
        return False

    # Expressions.

    def _eval(self, node, scope):
        method = getattr(self, "_of_" + type(node).__name__, None)
        if method is not None:
            return method(node, scope)
        out = frozenset()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                out |= self._eval(child, scope)
            elif isinstance(child, ast.comprehension):
                self._comprehension(child, scope)
        # A comparison is none of what it compares; a container is all of it.
        keeps = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.IfExp, ast.BoolOp, ast.Starred, ast.Await, ast.YieldFrom, ast.Yield)
        return out if isinstance(node, keeps) else frozenset()

    def _of_Constant(self, node, _scope):
        return frozenset([("text", node.value)]) if isinstance(node.value, str) and len(node.value) < 200 else frozenset()

    def _of_Name(self, node, scope):
        return scope.find(node.id) - {ANYTHING}

    def _of_NamedExpr(self, node, scope):
        values = self._eval(node.value, scope)
        self._assign(node.target, values, scope)
        return values

    def _of_Subscript(self, node, scope):
        self._eval(node.slice, scope)
        return self._eval(node.value, scope)

    def _of_Lambda(self, node, scope):
        key = id(node)
        own = self._scopes.setdefault(key, _Scope(scope, "function"))
        self._functions[key] = node
        self._defaults(node, scope)
        self._grow(self._returns, key, self._eval(node.body, own))
        return frozenset([("function", key)])

    def _comprehension(self, node, scope):
        self._assign(node.target, self._eval(node.iter, scope), scope)
        for condition in node.ifs:
            self._eval(condition, scope)

    def _of_ListComp(self, node, scope):
        for generator in node.generators:
            self._comprehension(generator, scope)
        if isinstance(node, ast.DictComp):
            return self._eval(node.key, scope) | self._eval(node.value, scope)
        return self._eval(node.elt, scope)

    _of_SetComp = _of_GeneratorExp = _of_DictComp = _of_ListComp

    def _of_Attribute(self, node, scope):
        values = self._eval(node.value, scope)
        out = frozenset()
        for value in values:
            out |= self._member(value, node.attr, node)
        if not any(v[0] in ("module", "session", "client", "resource", "collection", "open") for v in values):
            out |= self._attributes.get(node.attr, frozenset())
        return out

    def _member(self, value, name, node):
        kind = value[0]
        if kind == "open":
            return frozenset().union(*(self._member(v, name, node) for v in self._closed(value)))
        if kind == "module":
            if value[1] in ("boto3", "boto3.session") and name == "session":
                return frozenset([("module", "boto3.session")])
            if name in ("client", "resource") and value[1] == "boto3":
                return frozenset([("make", name)])
            if name == "Session" or name == "get_session" or name == "DEFAULT_SESSION":
                return frozenset([("new session",)])
            if value[1].startswith("botocore"):
                return frozenset([("module", value[1] + "." + name)])
            return frozenset()
        if kind == "session":
            return frozenset([("make", "resource" if name == "resource" else "client")]) if name in ("client", "resource", "create_client") else frozenset()
        if kind == "client":
            return frozenset() if name in ("exceptions",) else frozenset([("method", value[1], name)])
        if kind == "resource":
            return self._of_resource(value, name, node)
        if kind == "collection":
            operation = lookup.batch(value[1], value[3], name)
            if operation:
                return frozenset([("found", value[1], (operation,), None)])
            return frozenset([("more", value)])
        if kind == "meta" and name == "client":
            return frozenset([("client", value[1])])
        if kind in ("paginator", "waiter"):
            return frozenset([("run", *value)]) if name in ("paginate", "wait") else frozenset()
        if kind in ("text", "method", "found"):
            return frozenset([("same", value)]) if name in CONTAINER else frozenset()
        return frozenset()

    def _of_resource(self, value, name, node):
        _, service, kind = value
        if name == "meta":
            return frozenset([("meta", service)])
        found = lookup.resource(service, kind, name)
        if found is None:
            self._say(node, f"boto3's data of the resource {service} cannot be read")
            return frozenset()
        if found.collection:
            return frozenset([("collection", service, found.collection[0], found.collection[1])])
        if found.called:
            return frozenset([("found", service, tuple(found.operations), found.kind)])
        for operation in found.operations:
            self._call_of(service, operation, node)
        return frozenset([("resource", service, found.kind)]) if found.kind else frozenset()

    def _of_Call(self, node, scope):
        if isinstance(node.func, ast.Attribute) and node.func.attr in CONTAINER:
            held = self._eval(node.func.value, scope)
            arguments = self._arguments(node, scope)
            if node.func.attr in ("append", "setdefault"):
                for values in arguments[0]:
                    self._assign_container(node.func.value, values, scope)
            if not any(v[0] in ("client", "resource", "open") for v in held) or not held:
                return held | (arguments[0][-1] if node.func.attr in ("setdefault", "get") and arguments[0] else frozenset())
        functions = self._eval(node.func, scope)
        positional, named = self._arguments(node, scope)
        if isinstance(node.func, ast.Name) and not functions:
            return self._builtin(node, node.func.id, positional)
        out = frozenset()
        for function in functions:
            if function[0] == "make":
                out |= self._make(function[1], node, positional, named, scope)
                continue
            given = self._apply(function, node, positional, named)
            if function[0] == "function":
                given = self._substitute(function[1], given, node, positional, named, scope)
            out |= given
        for values in positional[:1]:
            # executor.submit(function, …), map(function, …), partial(function, …)
            if not functions:
                for value in values:
                    if value[0] in ("function", "method", "found"):
                        out |= self._apply(value, node, positional[1:], named)
        return out

    def _arguments(self, node, scope):
        positional = [self._eval(a, scope) for a in node.args]
        named = {}
        for keyword in node.keywords:
            values = self._eval(keyword.value, scope)
            if keyword.arg is not None:
                named[keyword.arg] = values
        return positional, named

    def _builtin(self, node, name, positional):
        if name == "getattr" and len(positional) >= 2:
            names = [v[1] for v in positional[1] if v[0] == "text"]
            out = frozenset()
            for value in positional[0]:
                if value[0] in ("client", "resource", "open") and not names:
                    self._say(node, "getattr of a name that is not written out on a client or resource")
                for attribute in names:
                    out |= self._member(value, attribute, node)
            return out
        if name in ("exec", "eval", "__import__", "compile"):
            self._say(node, f"{name} runs code that is not written out")
            return frozenset()
        out = frozenset()
        if name in ("map", "filter") and positional:
            for value in positional[0]:
                if value[0] in ("function", "method", "found"):
                    out |= self._apply(value, node, positional[1:], {})
        if name in ("list", "tuple", "set", "dict", "sorted", "reversed", "iter", "next", "enumerate", "zip", "map", "filter", "partial"):
            for values in positional:
                out |= values
        return out

    def _apply(self, function, node, positional, named):
        kind = function[0]
        if kind == "make":
            return self._make(function[1], node, positional, named, self._module)
        if kind == "new session":
            return frozenset([SESSION])
        if kind == "method":
            return self._method(function[1], function[2], node, positional, named)
        if kind == "found":
            for operation in function[2]:
                self._call_of(function[1], operation, node)
            return frozenset([("resource", function[1], function[3])]) if function[3] else frozenset()
        if kind == "more":
            _, service, operation, resource = function[1]
            self._call_of(service, operation, node)
            return frozenset([function[1]] + ([("resource", service, resource)] if resource else []))
        if kind == "resource":
            return frozenset([function])
        if kind == "run":
            for operation in function[3]:
                self._call_of(function[2], operation, node)
            return frozenset()
        if kind == "same":
            return frozenset([function[1]])
        if kind == "class":
            self._construct(function[1], positional, named)
            return frozenset([("instance", function[1])])
        if kind == "function":
            self._bind(function[1], positional, named)
            return self._returns.get(function[1], frozenset())
        return frozenset()

    def _make(self, what, node, positional, named, scope):
        names = named.get("service_name", positional[0] if positional else frozenset())
        services = [v[1] for v in names if v[0] == "text"]
        owner = self._parameter(node, scope)
        if not services or owner and ANYTHING in scope.find(owner[1]):
            self._say(node, f"a {what} of a service that is not written out")
        if owner:
            # Which service it is, who calls the function says.
            return frozenset([("open", what, *owner)])
        return self._of(what, services)

    def _of(self, what, services):
        return frozenset(("client", s) if what == "client" else ("resource", s, "") for s in services)

    def _parameter(self, node, scope):
        """Gives function and name where the service is a parameter of it."""
        written = [k.value for k in node.keywords if k.arg == "service_name"] or node.args[:1]
        if scope.name != "function" or not written or not isinstance(written[0], ast.Name):
            return None
        for key, own in self._scopes.items():
            if own is scope and key in self._functions and written[0].id in self._names(key):
                return key, written[0].id
        return None

    def _names(self, key):
        arguments = self._functions[key].args
        return [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]

    def _closed(self, value):
        """All that a value may be whose service is a parameter."""
        _, what, key, name = value
        return self._of(what, [v[1] for v in self._scopes[key].names.get(name, ()) if v[0] == "text"])

    def _substitute(self, key, values, node, positional, named, scope):
        """Puts this call's own arguments where a function gives back what they say."""
        out = set()
        for value in values:
            if value[0] != "open" or value[2] != key:
                out.add(value)
                continue
            names = self._names(key)
            at = names.index(value[3]) - (names[0] in ("self", "cls"))
            passed = value[3] in named or at < len(positional)
            given = named[value[3]] if value[3] in named else positional[at] if passed else frozenset()
            texts = [v[1] for v in given if v[0] == "text"]
            outer = None
            written = [k.value for k in node.keywords if k.arg == value[3]] or node.args[at : at + 1]
            if written and isinstance(written[0], ast.Name):
                call = ast.Call(func=node.func, args=written, keywords=[])
                outer = self._parameter(call, scope)
            if outer:
                out.add(("open", value[1], *outer))
            else:
                # What is passed and is no text has been said to be unresolved.
                out |= self._of(value[1], texts) if passed else self._closed(value)
        return frozenset(out)

    def _method(self, service, name, node, positional, named):
        if name in ("get_paginator", "get_waiter"):
            key = "operation_name" if name == "get_paginator" else "waiter_name"
            values = named.get(key, positional[0] if positional else frozenset())
            names = [v[1] for v in values if v[0] == "text"]
            if not names:
                self._say(node, f"{name} of {service} with a name that is not written out")
            if name == "get_paginator":
                return frozenset([("paginator", service, tuple(sorted(names)))])
            operations = [lookup.waiter(service, n) for n in names]
            if None in operations:
                self._say(node, f"a waiter of {service} that is not known")
            return frozenset([("waiter", service, tuple(sorted(o for o in operations if o)))])
        if name in NOT_OPERATIONS:
            return frozenset()
        for operation in TRANSFER.get(name, [name]) if service == "s3" else [name]:
            self._call_of(service, operation, node)
        return frozenset()

    def _construct(self, key, positional, named):
        node = self._classes[key]
        for member in node.body:
            if isinstance(member, ast.FunctionDef) and member.name == "__init__" and id(member) in self._scopes:
                self._bind(id(member), [frozenset([("instance", key)]), *positional], named)

    def _bind(self, key, positional, named):
        node, own = self._functions[key], self._scopes[key]
        names = [a.arg for a in [*node.args.posonlyargs, *node.args.args]]
        if names[:1] in (["self"], ["cls"]) and not any(v[0] == "instance" for v in (positional[0] if positional else ())):
            names = names[1:]
        for name, values in zip(names, positional):
            self._grow(own.names, name, values or frozenset([ANYTHING]))
        rest = [node.args.vararg] if node.args.vararg else []
        for values in positional[len(names):]:
            for arg in rest:
                self._grow(own.names, arg.arg, values)
        known = set(names) | {a.arg for a in node.args.kwonlyargs}
        for name, values in named.items():
            if name in known:
                self._grow(own.names, name, values or frozenset([ANYTHING]))
            elif node.args.kwarg:
                self._grow(own.names, node.args.kwarg.arg, values)
