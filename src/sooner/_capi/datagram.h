/* Datagrams of IP (UDP), by file descriptor, which none of these waits for.

   Most datagrams come from, and go to, one of a few addresses: the tuples that Python has for addresses are kept here
   with the system's form of them, so that neither has to be made of the other each time. */
#ifndef MS_WINDOWS

#define SOONER_DATAGRAM (64 * 1024)   /* no datagram of IP is larger */
#define SOONER_KNOWN 4096             /* a power of two */

SOONER_STATIC struct {
    PyObject *tuple;
    sooner_address address;
} sooner_known[SOONER_KNOWN];

SOONER_STATIC uint16_t sooner_places[SOONER_KNOWN];   /* of the tuples in there, by their own addresses */

#define sooner_tuple_place(tuple) (((uintptr_t)(tuple) >> 5) & (SOONER_KNOWN - 1))

static inline size_t sooner_address_size(const sooner_address *address) {
    return address->any.sa_family == AF_INET ? sizeof address->inet : sizeof address->inet6;
}

static inline size_t sooner_known_place(const sooner_address *address) {
    uint32_t mix = 0;
    const unsigned char *host = (const unsigned char *)&address->inet.sin_addr;
    if (address->any.sa_family == AF_INET6)
        host = (const unsigned char *)&address->inet6.sin6_addr + 12;
    for (int i = 0; i < 4; i++)
        mix = mix * 31 + host[i];
    mix += ntohs(address->inet.sin_port);   /* it has the same place in both; those of one host are often neighbours */
    return mix & (SOONER_KNOWN - 1);
}

/* The tuple for an address of AF_INET or AF_INET6: as Python's sockets tell it. */
static PyObject *sooner_known_tuple(const sooner_address *address) {
    size_t place = sooner_known_place(address);
    PyObject *tuple;
    if (sooner_known[place].tuple != NULL
            && memcmp(&sooner_known[place].address, address, sooner_address_size(address)) == 0) {
        tuple = sooner_known[place].tuple;
        sooner_places[sooner_tuple_place(tuple)] = (uint16_t)place;   /* another tuple may share that place */
        return Py_NewRef(tuple);
    }
    tuple = sooner_address_tuple(address);
    if (tuple != NULL) {
        sooner_known[place].address = *address;
        Py_XSETREF(sooner_known[place].tuple, Py_NewRef(tuple));
        sooner_places[sooner_tuple_place(tuple)] = (uint16_t)place;
    }
    return tuple;
}

SOONER_STATIC PyObject *sooner_sender;   /* a tuple or None, or NULL if nobody is to take it */

/* The next datagram, whose sender's address datagram_sender() gives then; None if there is none. */
CYTHON_UNUSED static PyObject *sooner_recv_datagram(int fd) {
    SOONER_STATIC char scratch[SOONER_DATAGRAM];
    sooner_address address;
    memset(&address, 0, sizeof address);
    socklen_t size = sizeof address;
    ssize_t count = recvfrom(fd, scratch, sizeof scratch, MSG_DONTWAIT, &address.any, &size);
    if (count < 0) {
        if (sooner_must_wait())
            Py_RETURN_NONE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *tuple;
    if (size == 0 || (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6))
        tuple = Py_NewRef(Py_None);
    else
        tuple = sooner_known_tuple(&address);
    if (tuple == NULL)
        return NULL;
    PyObject *data = PyBytes_FromStringAndSize(scratch, count);
    if (data == NULL)
        Py_DECREF(tuple);
    else
        Py_XSETREF(sooner_sender, tuple);
    return data;
}

CYTHON_UNUSED static PyObject *datagram_sender(void) {
    PyObject *tuple = sooner_sender;
    sooner_sender = NULL;
    return tuple != NULL ? tuple : Py_NewRef(Py_None);
}

#define recv_datagram(sock, fd) ((void)(sock), sooner_recv_datagram(fd))

/* Send to an address that datagram_sender() told, or to the peer of a connected socket (None).
   1; 0 if that can't be done now; -1: another address, which only Python can read; -2 with an exception. */
CYTHON_UNUSED static int sooner_send_datagram(int fd, int family, PyObject *data, PyObject *tuple) {
    const sooner_address *address = NULL;
    socklen_t size = 0;
    if (tuple != Py_None) {
        size_t place = sooner_places[sooner_tuple_place(tuple)];
        if (sooner_known[place].tuple != tuple || sooner_known[place].address.any.sa_family != family)
            return -1;
        address = &sooner_known[place].address;
        size = (socklen_t)sooner_address_size(address);
    }
    ssize_t count = sendto(fd, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data), MSG_NOSIGNAL | MSG_DONTWAIT,
                           address == NULL ? NULL : &address->any, size);
    if (count >= 0)
        return 1;
    if (sooner_must_wait())
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -2;
}

#define send_datagram(sock, fd, family, data, address) ((void)(sock), sooner_send_datagram(fd, family, data, address))
#endif
