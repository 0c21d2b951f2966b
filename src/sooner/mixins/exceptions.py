"""Where exceptions go that nobody caught."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

from ..core.loop import LoopCore

logger = logging.getLogger('asyncio')

Context = dict[str, Any]
ExceptionHandler = Callable[[Any, Context], object]


class ExceptionHandling(LoopCore):
    """The exception handler of a loop."""

    __slots__ = ()
    STATE = ('_exception_handler',)

    _exception_handler: ExceptionHandler | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._exception_handler = None

    def get_exception_handler(self) -> ExceptionHandler | None:
        """Return the exception handler, or None for the default one."""
        return self._exception_handler

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        """Have handler(loop, context) called with each exception that nobody caught; None: log it."""
        if handler is not None and not callable(handler):
            raise TypeError(f'A callable object or None is expected, got {handler!r}')
        self._exception_handler = handler

    def default_exception_handler(self, context: Context) -> None:
        """Log the message, the exception with its traceback, and what else the context tells."""
        message = context.get('message') or 'Unhandled exception in event loop'
        exception = context.get('exception')
        lines = [message]
        for key in sorted(context):
            if key in ('message', 'exception'):
                continue
            value = context[key]
            if key in ('source_traceback', 'handle_traceback'):
                name = 'Object' if key == 'source_traceback' else 'Handle'
                stack = ''.join(traceback.format_list(value)).rstrip()
                lines.append(f'{key}: {name} created at (most recent call last):\n{stack}')
            else:
                lines.append(f'{key}: {value!r}')
        exc_info = (type(exception), exception, exception.__traceback__) if exception is not None else None
        logger.error('\n'.join(lines), exc_info=exc_info)

    def call_exception_handler(self, context: Context) -> None:
        """Give a context to the exception handler.

        Its keys: 'message', and where they apply 'exception', 'future', 'task', 'handle', 'protocol', 'transport',
        'socket', 'asyncgen', 'source_traceback'.

        An exception in the handler is logged with the context; only SystemExit and KeyboardInterrupt come out.
        """
        handler = self._exception_handler
        if handler is not None:
            try:
                source: Any = context.get('task') or context.get('future') or context.get('handle')
                own: Any = source.get_context() if hasattr(source, 'get_context') else None
                if hasattr(own, 'run'):
                    own.run(handler, self, context)
                else:
                    handler(self, context)
                return
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                context = {
                    'message': 'Unhandled error in exception handler',
                    'exception': exc,
                    'context': context,
                }
        try:
            self.default_exception_handler(context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            words = 'Exception in default exception handler'
            if handler is not None:
                words += ' while handling an unexpected error in custom exception handler'
            logger.error(words, exc_info=True)
