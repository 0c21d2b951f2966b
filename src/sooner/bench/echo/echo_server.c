/* The limit: an echo server that makes its system calls and does nothing else.
 *
 *     echo_server tcp | udp | unix PATH | tls CERTIFICATE KEY
 *
 * One thread, level-triggered epoll, one recv() and one send() for each readiness. Prints {"port": N} once it
 * listens, on 127.0.0.1 unless a path is given, and serves until it is killed or its parent is gone.
 *
 * Compiled with -DWITH_TLS it knows TLS, through memory BIOs: as event loops for Python have to do it.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
static SSL_CTX *tls_context;
#endif

enum { EVENTS = 512, BACKLOG = 1024, DATAGRAMS_AT_ONCE = 64 };

struct connection {
    int fd;
    char *unsent; /* what the socket did not take; nothing is read while there is any */
    size_t unsent_size;
    size_t unsent_start;
#ifdef WITH_TLS
    SSL *tls;
    BIO *from_peer;
    BIO *to_peer;
#endif
};

static int epoll;
static char buffer[256 * 1024];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll, operation, connection->fd, &event) < 0)
        fail("epoll_ctl");
}

static void close_connection(struct connection *connection) {
#ifdef WITH_TLS
    SSL_free(connection->tls); /* and its BIOs */
#endif
    close(connection->fd);
    free(connection->unsent);
    free(connection);
}

/* Both return false when the connection is of no more use. */

static bool send_or_keep(struct connection *connection, const char *data, size_t size) {
    ssize_t sent = send(connection->fd, data, size, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            return false;
        sent = 0;
    }
    size_t rest = size - (size_t)sent;
    if (rest == 0)
        return true;
    connection->unsent = malloc(rest);
    if (connection->unsent == NULL)
        fail("malloc");
    memcpy(connection->unsent, data + sent, rest);
    connection->unsent_size = rest;
    connection->unsent_start = 0;
    watch(connection, EPOLL_CTL_MOD, EPOLLOUT);
    return true;
}

static bool send_kept(struct connection *connection) {
    size_t rest = connection->unsent_size - connection->unsent_start;
    ssize_t sent = send(connection->fd, connection->unsent + connection->unsent_start, rest, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    connection->unsent_start += (size_t)sent;
    if ((size_t)sent == rest) {
        free(connection->unsent);
        connection->unsent = NULL;
        watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    }
    return true;
}

#ifdef WITH_TLS

static void load_certificate(const char *certificate, const char *key) {
    tls_context = SSL_CTX_new(TLS_server_method());
    if (tls_context == NULL || SSL_CTX_use_certificate_chain_file(tls_context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_context, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
}

static void begin_tls(struct connection *connection) {
    connection->tls = SSL_new(tls_context);
    connection->from_peer = BIO_new(BIO_s_mem());
    connection->to_peer = BIO_new(BIO_s_mem());
    if (connection->tls == NULL || connection->from_peer == NULL || connection->to_peer == NULL)
        fail("SSL_new");
    SSL_set_bio(connection->tls, connection->from_peer, connection->to_peer);
    SSL_set_accept_state(connection->tls);
}

static bool echo_tls(struct connection *connection, size_t received) {
    static char clear[16 * 1024]; /* a record holds no more */
    int size;
    BIO_write(connection->from_peer, buffer, (int)received);
    while ((size = SSL_read(connection->tls, clear, sizeof clear)) > 0)
        SSL_write(connection->tls, clear, size);
    int error = SSL_get_error(connection->tls, size);
    ERR_clear_error();
    char *sealed;
    long sealed_size = BIO_get_mem_data(connection->to_peer, &sealed);
    if (sealed_size > 0 && !send_or_keep(connection, sealed, (size_t)sealed_size))
        return false;
    BIO_reset(connection->to_peer);
    return error == SSL_ERROR_WANT_READ;
}

#endif

static bool echo(struct connection *connection) {
    ssize_t received = recv(connection->fd, buffer, sizeof buffer, 0);
    if (received <= 0)
        return received < 0 && errno == EAGAIN;
#ifdef WITH_TLS
    if (connection->tls != NULL)
        return echo_tls(connection, (size_t)received);
#endif
    return send_or_keep(connection, buffer, (size_t)received);
}

static void accept_all(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL)
            fail("calloc");
        connection->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* a unix socket refuses, and needs it not */
#ifdef WITH_TLS
        if (tls_context != NULL)
            begin_tls(connection);
#endif
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        fail("accept4");
}

static void echo_datagrams(int fd) {
    for (int count = 0; count < DATAGRAMS_AT_ONCE; count++) {
        struct sockaddr_in peer;
        socklen_t peer_size = sizeof peer;
        ssize_t size = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &peer_size);
        if (size < 0)
            return;
        sendto(fd, buffer, (size_t)size, 0, (struct sockaddr *)&peer, peer_size);
    }
}

static int open_socket(bool datagrams, const char *path) {
    int fd = socket(path ? AF_UNIX : AF_INET, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    struct sockaddr_un path_address = {.sun_family = AF_UNIX};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (path != NULL) {
        if (strlen(path) >= sizeof path_address.sun_path) {
            errno = ENAMETOOLONG;
            fail(path);
        }
        strcpy(path_address.sun_path, path);
        if (bind(fd, (struct sockaddr *)&path_address, sizeof path_address) < 0)
            fail(path);
    } else if (bind(fd, (struct sockaddr *)&address, size) < 0 ||
               getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        fail("bind");
    }
    if (!datagrams && listen(fd, BACKLOG) < 0)
        fail("listen");
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int count, char **arguments) {
    const char *kind = count > 1 ? arguments[1] : "";
    const char *path = strcmp(kind, "unix") == 0 && count > 2 ? arguments[2] : NULL;
    bool datagrams = strcmp(kind, "udp") == 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    bool understood = strcmp(kind, "tcp") == 0 || datagrams || path != NULL;
#ifdef WITH_TLS
    if (strcmp(kind, "tls") == 0 && count > 3) {
        load_certificate(arguments[2], arguments[3]);
        understood = true;
    }
#endif
    if (!understood) {
        fprintf(stderr, "usage: echo_server tcp | udp | unix PATH | tls CERTIFICATE KEY\n");
        return 2;
    }

    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = open_socket(datagrams, path);
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.ptr = NULL}};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]) < 0)
        fail("epoll");

    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL)
                (datagrams ? echo_datagrams : accept_all)(listener);
            else if (!(connection->unsent != NULL ? send_kept : echo)(connection))
                close_connection(connection);
        }
    }
}
