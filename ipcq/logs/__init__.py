"""Log records and output of tasks, in the process that pushed them.

``receiver`` and ``loggers`` stand there, ``running`` in the worker; ``messages`` is what travels, ``address``
the way, ``channel`` how a worker sends without being held up, ``tee`` what becomes of ``print``.
"""

from .receiver import LogReceiver, Output

__all__ = ["LogReceiver", "Output"]
