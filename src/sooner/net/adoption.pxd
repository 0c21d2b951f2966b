from .reader cimport ReceivedBytes
from .stream cimport StreamTransport
from .writer cimport new_drain

cpdef adopt_stream(loop, protocol)
