/* Runs a program and logs its system calls that touch files, processes and networks; lets one of them fail, or kills the
 * caller before one. All threads and children are followed. x86-64 Linux only.
 *
 *     syscalls LOG KINDS WHOSE AFTER NUMBER ACTION -- PROGRAM ARGUMENT...
 *
 * KINDS  letters: c calls that change files, r files opened for reading, p new processes, n networks
 * WHOSE  "host": calls of the first process (its threads included) are counted; "all": those of every process
 * AFTER  counting begins with the first call whose path contains this text ("": at once)
 * NUMBER the counted call that ACTION is for, from 1; 0: none
 * ACTION "kill", or the errno that the call fails with
 *
 * Each line of LOG: pid, "host" or "child", counted number (0: not counted), kind, name, path, result; then "end" and
 * the exit status of the first process (negative: the signal). A seccomp filter stops only the calls that matter.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum where { NONE, PATH, AT, FD, OPEN, OPEN_AT, ADDRESS, TO, NUMBER };

/* Where each call has its path: `place` is the argument's index, with AT of the folder's descriptor before it. */
static const struct call {
    long number;
    const char *name;
    char kind;
    enum where where;
    int place;
} CALLS[] = {
    {SYS_open, "open", 'o', OPEN, 0},
    {SYS_openat, "openat", 'o', OPEN_AT, 1},
    {SYS_openat2, "openat2", 'o', OPEN_AT, 1},
    {SYS_creat, "creat", 'c', PATH, 0},
    {SYS_rename, "rename", 'c', PATH, 1},
    {SYS_renameat, "renameat", 'c', AT, 3},
    {SYS_renameat2, "renameat2", 'c', AT, 3},
    {SYS_unlink, "unlink", 'c', PATH, 0},
    {SYS_unlinkat, "unlinkat", 'c', AT, 1},
    {SYS_mkdir, "mkdir", 'c', PATH, 0},
    {SYS_mkdirat, "mkdirat", 'c', AT, 1},
    {SYS_rmdir, "rmdir", 'c', PATH, 0},
    {SYS_link, "link", 'c', PATH, 1},
    {SYS_linkat, "linkat", 'c', AT, 3},
    {SYS_symlink, "symlink", 'c', PATH, 1},
    {SYS_symlinkat, "symlinkat", 'c', AT, 2},
    {SYS_mknod, "mknod", 'c', PATH, 0},
    {SYS_mknodat, "mknodat", 'c', AT, 1},
    {SYS_truncate, "truncate", 'c', PATH, 0},
    {SYS_ftruncate, "ftruncate", 'c', FD, 0},
    {SYS_fallocate, "fallocate", 'c', FD, 0},
    {SYS_write, "write", 'w', FD, 0},
    {SYS_pwrite64, "pwrite64", 'w', FD, 0},
    {SYS_writev, "writev", 'w', FD, 0},
    {SYS_copy_file_range, "copy_file_range", 'w', FD, 2},
    {SYS_sendfile, "sendfile", 'w', FD, 0},
    {SYS_fsync, "fsync", 'c', FD, 0},
    {SYS_fdatasync, "fdatasync", 'c', FD, 0},
    {SYS_chmod, "chmod", 'c', PATH, 0},
    {SYS_fchmod, "fchmod", 'c', FD, 0},
    {SYS_fchmodat, "fchmodat", 'c', AT, 1},
    {SYS_utimensat, "utimensat", 'c', AT, 1},
    {SYS_setxattr, "setxattr", 'c', PATH, 0},
    {SYS_flock, "flock", 'c', FD, 0},
    {SYS_fork, "fork", 'p', NONE, 0},
    {SYS_vfork, "vfork", 'p', NONE, 0},
    {SYS_clone, "clone", 'p', NONE, 0},
    {SYS_clone3, "clone3", 'p', NONE, 0},
    {SYS_execve, "execve", 'p', PATH, 0},
    {SYS_pipe2, "pipe2", 'p', NONE, 0},
    {SYS_pidfd_open, "pidfd_open", 'p', NONE, 0},
    {SYS_socket, "socket", 'n', NUMBER, 0},
    {SYS_connect, "connect", 'n', ADDRESS, 1},
    {SYS_bind, "bind", 'n', ADDRESS, 1},
    {SYS_sendto, "sendto", 'n', TO, 4},
    {SYS_sendmsg, "sendmsg", 'n', FD, 0},
    {SYS_sendmmsg, "sendmmsg", 'n', FD, 0},
};
#define COUNT ((int)(sizeof CALLS / sizeof CALLS[0]))

struct thread {
    pid_t id, process;
    int pending; /* the result of its call is yet to be logged */
    char line[9000];
};

static FILE *out;
static const char *kinds, *after, *action;
static int everybody, counting;
static long wanted, counted;
static pid_t first;
static struct thread *threads[1 << 16];

static void fail(const char *what) {
    perror(what);
    exit(125);
}

static pid_t process_of(pid_t id) {
    char name[64], line[256];
    snprintf(name, sizeof name, "/proc/%d/status", id);
    FILE *file = fopen(name, "r");
    pid_t found = id;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Tgid: %d", &found) == 1) break;
    if (file) fclose(file);
    return found;
}

static struct thread *thread_of(pid_t id) {
    unsigned at = (unsigned)id & 0xffff;
    while (threads[at] && threads[at]->id != id) at = (at + 1) & 0xffff;
    if (!threads[at]) {
        threads[at] = calloc(1, sizeof *threads[at]);
        if (!threads[at]) fail("calloc");
        threads[at]->id = id;
        threads[at]->process = process_of(id);
    }
    return threads[at];
}

static size_t copy(pid_t id, unsigned long from, void *to, size_t size) {
    struct iovec here = {to, size}, there = {(void *)from, size};
    ssize_t got = process_vm_readv(id, &here, 1, &there, 1, 0);
    return got < 0 ? 0 : (size_t)got;
}

/* A text of at most `size`, which may end at the end of a page. */
static void text(pid_t id, unsigned long from, char *to, size_t size) {
    size_t got = 0;
    while (from && got + 1 < size) {
        size_t step = 4096 - ((from + got) & 4095);
        if (step > size - 1 - got) step = size - 1 - got;
        size_t read = copy(id, from + got, to + got, step);
        if (memchr(to + got, 0, read)) return;
        got += read;
        if (read < step) break;
    }
    to[got] = 0;
}

static void link_of(pid_t id, const char *what, char *to, size_t size) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/%s", id, what);
    ssize_t got = readlink(name, to, size - 1);
    to[got < 0 ? 0 : got] = 0;
}

static void descriptor(pid_t id, long number, char *to, size_t size) {
    char name[32];
    if ((int)number == AT_FDCWD)
        strcpy(name, "cwd");
    else
        snprintf(name, sizeof name, "fd/%d", (int)number);
    link_of(id, name, to, size);
}

static void address(pid_t id, unsigned long from, char *to, size_t size) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } at = {0};
    char shown[64] = "";
    if (!from || !copy(id, from, &at, sizeof at)) {
        snprintf(to, size, "-");
    } else if (at.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &at.v4.sin_addr, shown, sizeof shown);
        snprintf(to, size, "inet %s port %d", shown, ntohs(at.v4.sin_port));
    } else if (at.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &at.v6.sin6_addr, shown, sizeof shown);
        snprintf(to, size, "inet6 %s port %d", shown, ntohs(at.v6.sin6_port));
    } else if (at.any.sa_family == AF_UNIX) {
        snprintf(to, size, "unix %s", at.local.sun_path[0] ? at.local.sun_path : at.local.sun_path + 1);
    } else {
        snprintf(to, size, "family %d", at.any.sa_family);
    }
}

/* The call's path, and its kind: an open is for reading or changes a file, a write matters if it's to a file. */
static char resolve(const struct call *call, pid_t id, const struct user_regs_struct *regs, char *path, size_t size) {
    const unsigned long arguments[] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
    unsigned long at = arguments[call->place];
    char kind = call->kind, name[4096] = "", folder[4096];
    long from = AT_FDCWD;
    path[0] = 0;
    switch (call->where) {
    case NONE:
        return kind;
    case NUMBER:
        snprintf(path, size, "%ld", (long)at);
        return kind;
    case FD:
        descriptor(id, (long)at, path, size);
        return kind == 'w' ? (path[0] == '/' && strncmp(path, "/dev/", 5) ? 'c' : 0) : kind;
    case ADDRESS:
    case TO:
        address(id, at, path, size);
        return kind;
    case AT:
    case OPEN_AT:
        from = (long)arguments[call->place - 1];
        break;
    default:
        break;
    }
    text(id, at, name, sizeof name);
    if (name[0] == '/') {
        snprintf(path, size, "%s", name);
    } else {
        descriptor(id, from, folder, sizeof folder);
        snprintf(path, size, "%s%s%s", folder, name[0] ? "/" : "", name);
    }
    if (kind == 'o') {
        unsigned long flags = arguments[call->place + 1];
        if (call->number == SYS_openat2) copy(id, flags, &flags, sizeof flags);
        kind = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) ? 'c' : 'r';
    }
    return kind;
}

static void escaped(char *text) {
    for (unsigned char *at = (unsigned char *)text; *at; at++)
        if (*at < 32 || *at == 127) *at = '?';
}

/* At the entry of a call: log it, let it fail, or kill its caller. Returns how the thread goes on. */
static int entered(struct thread *thread) {
    struct user_regs_struct regs;
    char path[8300];
    int place = 0;
    if (ptrace(PTRACE_GETREGS, thread->id, 0, &regs)) return PTRACE_CONT;
    while (place < COUNT && CALLS[place].number != (long)regs.orig_rax) place++;
    if (place == COUNT) return PTRACE_CONT;
    char kind = resolve(&CALLS[place], thread->id, &regs, path, sizeof path);
    if (!kind || !strchr(kinds, kind)) return PTRACE_CONT;
    int is_host = thread->process == first;
    if (!counting && strstr(path, after)) counting = 1;
    long number = counting && (is_host || everybody) ? ++counted : 0;
    escaped(path);
    snprintf(thread->line, sizeof thread->line, "%d\t%s\t%ld\t%c\t%s\t%s", thread->id, is_host ? "host" : "child", number,
             kind, CALLS[place].name, path);
    if (number && number == wanted) {
        if (!strcmp(action, "kill")) {
            fprintf(out, "%s\tkilled\n", thread->line);
            kill(thread->process, SIGKILL);
            return PTRACE_CONT;
        }
        int code = atoi(action);
        regs.orig_rax = (unsigned long)-1; /* the kernel skips the call, */
        regs.rax = (unsigned long)-code;   /* and this is its result */
        ptrace(PTRACE_SETREGS, thread->id, 0, &regs);
        fprintf(out, "%s\t-%d\n", thread->line, code);
        return PTRACE_CONT;
    }
    thread->pending = 1;
    return PTRACE_SYSCALL; /* as far as the call's exit */
}

static void left(struct thread *thread) {
    struct user_regs_struct regs;
    if (thread->pending && !ptrace(PTRACE_GETREGS, thread->id, 0, &regs))
        fprintf(out, "%s\t%ld\n", thread->line, (long)regs.rax);
    thread->pending = 0;
}

static void become(char **argv) {
    struct sock_filter filter[COUNT + 5];
    int n = 0;
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int place = 0; place < COUNT; place++)
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)CALLS[place].number,
                                                   (unsigned char)(COUNT - place), 0);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog program = {(unsigned short)n, filter};
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) fail("ptrace");
    raise(SIGSTOP);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) &&
        (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)))
        fail("seccomp");
    execvp(argv[0], argv);
    fail(argv[0]);
}

static void too_long(int signal) {
    (void)signal; /* it interrupts waitpid */
}

int main(int count, char **argv) {
    if (count < 9 || strcmp(argv[7], "--")) {
        fprintf(stderr, "usage: syscalls LOG KINDS WHOSE AFTER NUMBER ACTION -- PROGRAM ARGUMENT...\n");
        return 125;
    }
    kinds = argv[2], everybody = !strcmp(argv[3], "all"), after = argv[4], action = argv[6];
    wanted = atol(argv[5]);
    counting = !after[0];
    out = fopen(argv[1], "we");
    if (!out) fail(argv[1]);
    setvbuf(out, NULL, _IOLBF, 0);
    first = fork();
    if (first == 0) become(argv + 8);
    int status, result = 125;
    if (waitpid(first, &status, 0) < 0 || !WIFSTOPPED(status)) fail("the program didn't start");
    long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                   PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, first, 0, options)) fail("ptrace");
    ptrace(PTRACE_CONT, first, 0, 0);
    struct sigaction alarm_action = {.sa_handler = too_long};
    sigaction(SIGALRM, &alarm_action, NULL);
    for (;;) {
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0) break; /* none is left, or those that outlive the first process have had their time */
        struct thread *thread = thread_of(id);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            thread->pending = 0;
            if (id == first) {
                result = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
                alarm(10);
            }
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16, go_on = PTRACE_CONT, deliver = 0;
        if (event == PTRACE_EVENT_SECCOMP) {
            go_on = entered(thread);
        } else if (signal == (SIGTRAP | 0x80)) {
            left(thread);
        } else if (event == PTRACE_EVENT_EXEC) {
            thread->process = process_of(id);
            go_on = thread->pending ? PTRACE_SYSCALL : PTRACE_CONT;
        } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            go_on = thread->pending ? PTRACE_SYSCALL : PTRACE_CONT;
        } else if (signal == SIGSTOP && !thread->line[0]) {
            thread->process = process_of(id); /* a new thread or process, which begins stopped */
        } else {
            deliver = signal;
            go_on = thread->pending ? PTRACE_SYSCALL : PTRACE_CONT;
        }
        ptrace(go_on, id, 0, deliver);
    }
    fprintf(out, "end\t%d\n", result);
    fclose(out);
    return 0;
}
