#!/usr/bin/env python3
"""Fails if files of src/ import each other in a circle.

A module's own parts may import the module: they are one thing in several files. Everything else that
comes back to where it began is printed, file by file.
"""

import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"


def module_of(file):
    """The path of the module that a file holds, such as ("engine", "state")."""
    parts = file.relative_to(SRC).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts


def code_of(text):
    """The code without comments, strings and the tests at its end."""
    text = re.split(r"#\[cfg\(test\)\]\s*(?:pub )?mod \w+ \{", text)[0]
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    return re.sub(r"//[^\n]*", "", text)


def leaves(tree, prefix=()):
    """The paths that a tree of `use` names, each with the name under which it is imported."""
    tree = tree.strip()
    if (brace := tree.find("{")) >= 0:
        head = tuple(part.strip() for part in tree[:brace].split("::") if part.strip())
        depth, start = 0, brace + 1
        for place in range(brace, len(tree)):
            depth += {"{": 1, "}": -1}.get(tree[place], 0)
            if (tree[place] == "," and depth == 1) or (depth == 0 and tree[place] == "}"):
                if tree[start:place].strip():
                    yield from leaves(tree[start:place], prefix + head)
                start = place + 1
        return
    path, _, alias = tree.partition(" as ")
    path = prefix + tuple(part.strip() for part in path.split("::"))
    path = path[:-1] if path[-1] == "self" and len(path) > 1 else path
    yield path, alias.strip() or path[-1]


class Tree:
    def __init__(self):
        self.files = {}
        for file in sorted(SRC.rglob("*.rs")):
            if file.name != "main.rs":
                self.files[module_of(file)] = file
        self.code = {module: code_of(file.read_text()) for module, file in self.files.items()}
        self.uses = {module: self.uses_of(module) for module in self.files}

    def absolute(self, module, path):
        """A path from the root of the crate; None if it leads elsewhere."""
        if path[0] == "crate":
            return path[1:]
        if path[0] in ("self", "super"):
            here = module
            while path and path[0] in ("self", "super"):
                here = here[:-1] if path[0] == "super" else here
                path = path[1:]
            return here + path
        return module + path if module + path[:1] in self.files else None

    def uses_of(self, module):
        found = []
        for public, tree in re.findall(r"^\s*(pub(?:\([a-z ]+\))? )?use ([^;]+);", self.code[module], re.M):
            for path, name in leaves(tree):
                if absolute := self.absolute(module, path):
                    found.append((absolute, name, bool(public)))
        return found

    def file_of(self, path, seen=()):
        """The module in whose file a path is defined, following what is exported again."""
        module = path
        while module not in self.files:
            module = module[:-1]
        if module != path and (module, path) not in seen:
            name = path[len(module)]
            for target, exported, public in self.uses[module]:
                if public and exported == name:
                    return self.file_of(target + path[len(module) + 1:], seen + ((module, path),))
        return module

    def imports(self, module):
        paths = [path for path, _, _ in self.uses[module]]
        rest = re.sub(r"^\s*(?:pub(?:\([a-z ]+\))? )?use [^;]+;", "", self.code[module], flags=re.M)
        for path in re.findall(r"\b(?:crate|super|self)(?:::\w+)+", rest):
            if absolute := self.absolute(module, tuple(path.split("::"))):
                paths.append(absolute)
        return {self.file_of(path) for path in paths} - {module}


def circles(graph):
    """The strongly connected components of more than one module (Tarjan)."""
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in graph[node]:
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            circle = []
            while True:
                circle.append(stack.pop())
                if circle[-1] == node:
                    break
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in graph:
        if node not in order:
            visit(node)
    return found


def main():
    sys.setrecursionlimit(10_000)
    tree = Tree()
    graph = {}
    for module in tree.files:
        own = {module[:length] for length in range(len(module))}
        graph[module] = {other for other in tree.imports(module) if other not in own}
    found = circles(graph)
    for circle in found:
        print(f"{len(circle)} files import each other:")
        for module in circle:
            others = ["::".join(other) for other in sorted(graph[module]) if other in circle]
            print(f"  {tree.files[module].relative_to(SRC)} -> {', '.join(others)}")
    print(f"{len(tree.files)} files, {len(found)} circles")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
