/* Ring: a growing first-in first-out queue of owned references.  The macros take a Ring by name and pass its address. */

typedef struct {
    PyObject **items;          /* mask + 1 places, a power of two */
    size_t head, tail, mask;   /* counted up for ever; head == tail is empty */
} Ring;

#define ring_len(ring) ((Py_ssize_t)((ring).tail - (ring).head))
#define ring_push(ring, object) sooner_ring_push(&(ring), (PyObject *)(object))
#define ring_push_front(ring, object) sooner_ring_push_front(&(ring), (PyObject *)(object))
#define ring_pop(ring) sooner_ring_pop(&(ring))
#define ring_clear(ring) sooner_ring_clear(&(ring))

CYTHON_UNUSED static int sooner_ring_grow(Ring *ring) {
    size_t count = ring->tail - ring->head, size = ring->items ? 2 * (ring->mask + 1) : 64;
    PyObject **items = (PyObject **)PyMem_Malloc(size * sizeof(PyObject *));
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++)
        items[i] = ring->items[(ring->head + i) & ring->mask];
    PyMem_Free(ring->items);
    ring->items = items;
    ring->head = 0;
    ring->tail = count;
    ring->mask = size - 1;
    return 0;
}

static inline int sooner_ring_reserve(Ring *ring) {
    if (ring->items == NULL || ring->tail - ring->head > ring->mask)
        return sooner_ring_grow(ring);
    return 0;
}

static inline int sooner_ring_push(Ring *ring, PyObject *object) {
    if (sooner_ring_reserve(ring))
        return -1;
    ring->items[ring->tail++ & ring->mask] = Py_NewRef(object);
    return 0;
}

static inline int sooner_ring_push_front(Ring *ring, PyObject *object) {
    if (sooner_ring_reserve(ring))
        return -1;
    ring->items[--ring->head & ring->mask] = Py_NewRef(object);
    return 0;
}

static inline PyObject *sooner_ring_pop(Ring *ring) {
    return ring->items[ring->head++ & ring->mask];
}

/* What the ring holds may use the ring while it is released: empty it first. */
CYTHON_UNUSED static void sooner_ring_clear(Ring *ring) {
    Ring old = *ring;
    memset(ring, 0, sizeof(Ring));
    while (old.tail != old.head)
        Py_DECREF(sooner_ring_pop(&old));
    PyMem_Free(old.items);
}

CYTHON_UNUSED static int sooner_ring_traverse(Ring *ring, visitproc visit, void *arg) {
    for (size_t i = ring->head; i != ring->tail; i++)
        Py_VISIT(ring->items[i & ring->mask]);
    return 0;
}
