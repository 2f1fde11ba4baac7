/* Preloaded into the program under test: counts the calls by which a process leaves a mark outside of itself, and ends the
 * process at the nth, as a power switch would. The program knows nothing of it.
 *
 * A mark is a write, sync, truncation, renaming or removal of a regular file, or something said to a socket. Pipes (standard
 * output, logs) and the runtime's own event descriptors are not counted.
 *
 *   CRASH_TRACE=FILE          a line per mark: its number, the call, where to, how many bytes, and how they begin
 *   CRASH_AT=before:17        SIGKILL instead of the 17th mark
 *   CRASH_AT=after:17         SIGKILL right after it
 *   CRASH_AT=half:17          SIGKILL after half of its bytes
 *   CRASH_FULL=17:control.db  from the 17th mark on, files whose path holds that text cannot grow: ENOSPC
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { NEVER, BEFORE, AFTER, HALF };

static atomic_long marks;
static enum how how = NEVER;
static long at = -1;
static long full_from = -1;
static const char *full_path;
static int trace = -1;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("CRASH_TRACE"), *point = getenv("CRASH_AT"), *full = getenv("CRASH_FULL");
    if (file) trace = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (point) {
        if (!strncmp(point, "before:", 7)) how = BEFORE;
        if (!strncmp(point, "after:", 6)) how = AFTER;
        if (!strncmp(point, "half:", 5)) how = HALF;
        at = strtol(strchr(point, ':') + 1, NULL, 10);
    }
    if (full) {
        full_from = strtol(full, NULL, 10);
        full_path = strchr(full, ':') + 1;
    }
}

static void die(void) {
    for (;;) syscall(SYS_kill, getpid(), SIGKILL);
}

static int leaves_a_mark(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 && (S_ISREG(found.st_mode) || S_ISSOCK(found.st_mode));
}

static void path_of(int fd, char *path, size_t room) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, room - 1);
    path[length < 0 ? 0 : length] = 0;
}

/* The file, or the port that a socket is connected to. */
static void place_of(int fd, char *place, size_t room) {
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0) {
        int port = 0;
        if (peer.ss_family == AF_INET) port = ntohs(((struct sockaddr_in *)&peer)->sin_port);
        if (peer.ss_family == AF_INET6) port = ntohs(((struct sockaddr_in6 *)&peer)->sin6_port);
        snprintf(place, room, "port:%d", port);
    } else {
        path_of(fd, place, room);
    }
}

static void note(long number, const char *call, const char *place, size_t bytes, const char *begins, size_t readable) {
    char line[1024], words[65];
    size_t length = 0;
    for (size_t i = 0; begins && i < readable && length < sizeof words - 1; i++) {
        words[length++] = begins[i] > ' ' && begins[i] < 127 ? begins[i] : '_';
    }
    words[length] = 0;
    int size = snprintf(line, sizeof line, "%ld %s %s %zu %s\n", number, call, place, bytes, words);
    syscall(SYS_write, trace, line, (size_t)size);
}

/* Numbers a mark on a descriptor. */
static long mark(int fd, const char *call, size_t bytes, const char *begins, size_t readable) {
    if (!leaves_a_mark(fd)) return 0;
    long number = atomic_fetch_add(&marks, 1) + 1;
    if (trace >= 0) {
        char place[512];
        place_of(fd, place, sizeof place);
        note(number, call, place, bytes, begins, readable);
    }
    if (how == BEFORE && number == at) die();
    return number;
}

static long mark_path(const char *call, const char *path) {
    long number = atomic_fetch_add(&marks, 1) + 1;
    if (trace >= 0) note(number, call, path, 0, NULL, 0);
    if (how == BEFORE && number == at) die();
    return number;
}

static int halves(long number) { return number && how == HALF && number == at; }

static void over(long number) {
    if (number && how == AFTER && number == at) die();
}

static int is_full(int fd, long number) {
    char path[512];
    if (!number || full_from < 0 || number < full_from) return 0;
    path_of(fd, path, sizeof path);
    if (path[0] != '/' || !strstr(path, full_path)) return 0;
    errno = ENOSPC;
    return 1;
}

#define REAL(name) ((__typeof__(&name))({ static void *real; if (!real) real = dlsym(RTLD_NEXT, #name); real; }))

#define BYTES(name, fd, data, length, ...)                                   \
    do {                                                                     \
        long number = mark(fd, #name, length, (const char *)(data), length); \
        if (is_full(fd, number)) return -1;                                  \
        if (halves(number)) {                                                \
            size_t whole = length;                                           \
            length = whole / 2 ? whole / 2 : whole;                          \
            REAL(name)(__VA_ARGS__);                                         \
            die();                                                           \
        }                                                                    \
        ssize_t done = REAL(name)(__VA_ARGS__);                              \
        over(number);                                                        \
        return done;                                                         \
    } while (0)

ssize_t write(int fd, const void *data, size_t length) { BYTES(write, fd, data, length, fd, data, length); }

ssize_t pwrite(int fd, const void *data, size_t length, off_t from) {
    BYTES(pwrite, fd, data, length, fd, data, length, from);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t from) {
    BYTES(pwrite64, fd, data, length, fd, data, length, from);
}

ssize_t send(int fd, const void *data, size_t length, int flags) {
    BYTES(send, fd, data, length, fd, data, length, flags);
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
    BYTES(sendto, fd, data, length, fd, data, length, flags, to, size);
}

/* Half of several pieces: all but the last, or half of the only one. */
static ssize_t half_of(int fd, const struct iovec *pieces, int count) {
    if (count > 1) return REAL(writev)(fd, pieces, count - 1);
    struct iovec half = { pieces[0].iov_base, pieces[0].iov_len / 2 };
    return REAL(writev)(fd, &half, 1);
}

static size_t sum_of(const struct iovec *pieces, size_t count) {
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += pieces[i].iov_len;
    return sum;
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    const char *first = count ? pieces[0].iov_base : NULL;
    long number = mark(fd, "writev", sum_of(pieces, (size_t)count), first, count ? pieces[0].iov_len : 0);
    if (is_full(fd, number)) return -1;
    if (halves(number)) {
        half_of(fd, pieces, count);
        die();
    }
    ssize_t done = REAL(writev)(fd, pieces, count);
    over(number);
    return done;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    const struct iovec *pieces = message->msg_iov;
    size_t count = message->msg_iovlen;
    const char *first = count ? pieces[0].iov_base : NULL;
    long number = mark(fd, "sendmsg", sum_of(pieces, count), first, count ? pieces[0].iov_len : 0);
    if (halves(number)) {
        half_of(fd, pieces, (int)count);
        die();
    }
    ssize_t done = REAL(sendmsg)(fd, message, flags);
    over(number);
    return done;
}

#define ON_FILE(name, fd, grows, ...)                  \
    do {                                               \
        long number = mark(fd, #name, 0, NULL, 0);     \
        if (grows && is_full(fd, number)) return -1;   \
        int done = REAL(name)(__VA_ARGS__);            \
        over(number);                                  \
        return done;                                   \
    } while (0)

int fsync(int fd) { ON_FILE(fsync, fd, 0, fd); }
int fdatasync(int fd) { ON_FILE(fdatasync, fd, 0, fd); }
int ftruncate(int fd, off_t length) { ON_FILE(ftruncate, fd, length > 0, fd, length); }
int ftruncate64(int fd, off64_t length) { ON_FILE(ftruncate64, fd, length > 0, fd, length); }

#define ON_PATH(name, path, ...)             \
    do {                                     \
        long number = mark_path(#name, path); \
        int done = REAL(name)(__VA_ARGS__);  \
        over(number);                        \
        return done;                         \
    } while (0)

int rename(const char *from, const char *to) { ON_PATH(rename, to, from, to); }
int unlink(const char *path) { ON_PATH(unlink, path, path); }
int mkdir(const char *path, mode_t mode) { ON_PATH(mkdir, path, path, mode); }
