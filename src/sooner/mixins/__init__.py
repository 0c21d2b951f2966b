"""The parts of a Loop that reach beyond its turns, a concern each: `eventloop.Loop` joins them.

A part names the attributes that it keeps in `STATE`; Loop makes slots of them. A Loop so has no `__dict__` until a user
sets an attribute: the interpreter calls the methods of such objects faster.
"""
