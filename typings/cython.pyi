"""What of the module cython the hot modules use, as a type checker is to see it: C's types are Python's."""

import builtins
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar('T')

compiled: bool

bint = builtins.bool
char = builtins.int
double = builtins.float
int = builtins.int
longlong = builtins.int
Py_ssize_t = builtins.int

def binding(value: bool) -> Callable[[T], T]: ...
def cast(kind: type[T], value: object) -> T: ...
def declare(kind: Any, value: Any) -> Any: ...
def final(cls: T) -> T: ...
