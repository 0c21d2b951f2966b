/* Methods written in C, as seen by the interpreter's specialized instructions: those only take a method whose class is
   exactly the class of the object, and so refuse what a class inherits. */

/* Whether two methods are the same C function (or the same object). */
CYTHON_UNUSED static int same_method(PyObject *a, PyObject *b) {
    if (a == b)
        return 1;
    return Py_IS_TYPE(a, &PyMethodDescr_Type) && Py_IS_TYPE(b, &PyMethodDescr_Type)
           && ((PyMethodDescrObject *)a)->d_method == ((PyMethodDescrObject *)b)->d_method;
}

/* Give a subclass its own descriptor of each method that it inherits from a base written in C. */
CYTHON_UNUSED static int copy_methods(PyObject *cls, PyObject *base) {
    PyTypeObject *type = (PyTypeObject *)cls;
    PyObject *name, *method;
    Py_ssize_t position = 0;
    while (PyDict_Next(((PyTypeObject *)base)->tp_dict, &position, &name, &method)) {
        if (!Py_IS_TYPE(method, &PyMethodDescr_Type))
            continue;
        PyObject *found = PyObject_GetAttr(cls, name);
        if (found == NULL)
            return -1;
        Py_DECREF(found);
        if (found != method)   /* overridden */
            continue;
        PyObject *own = PyDescr_NewMethod(type, ((PyMethodDescrObject *)method)->d_method);
        if (own == NULL || PyDict_SetItem(type->tp_dict, name, own)) {
            Py_XDECREF(own);
            return -1;
        }
        Py_DECREF(own);
    }
    PyType_Modified(type);
    return 0;
}

#define delete_attribute(object, name) PyObject_GenericSetAttr(object, name, NULL)
