"""Raw recordings in, centred sequences out; a module a stage. Called, `prepare(file)` is `danet.predict.prepare`."""

import sys
from types import ModuleType
from typing import Any


class Stages(ModuleType):
    """This package under the name that it shares with the function."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """See `danet.predict.prepare`."""
        from danet import predict

        return predict.prepare(*arguments, **named)


sys.modules[__name__].__class__ = Stages
