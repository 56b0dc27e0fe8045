/* What a C program expects of its system, by wasi-libc: prints each expectation that is not met, and how many there were. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int met;

#define EXPECT(what) ((what) ? (void)met++ : (void)printf("line %d: %s (errno %d)\n", __LINE__, #what, errno))
#define FAILS(call, code) (errno = 0, EXPECT((call) == -1 && errno == (code)))

static void files(void) {
    char buffer[16] = { 0 };
    struct stat stat_of;
    FILE *file = fopen("note.txt", "w");
    EXPECT(file && fputs("one two three", file) >= 0 && fclose(file) == 0);
    EXPECT(stat("note.txt", &stat_of) == 0 && stat_of.st_size == 13 && S_ISREG(stat_of.st_mode));
    file = fopen("note.txt", "r+");
    EXPECT(file && fseek(file, 4, SEEK_SET) == 0 && fread(buffer, 1, 3, file) == 3 && !strcmp(buffer, "two"));
    EXPECT(fseek(file, 4, SEEK_SET) == 0 && fputs("TWO", file) >= 0 && fclose(file) == 0);
    file = fopen("note.txt", "a");
    EXPECT(file && fputs("!", file) >= 0 && fclose(file) == 0);
    int fd = open("note.txt", O_RDONLY);
    EXPECT(fd > 3 && pread(fd, buffer, 15, 4) == 10 && !strncmp(buffer, "TWO three!", 10));
    EXPECT(lseek(fd, 0, SEEK_CUR) == 0 && lseek(fd, -1, SEEK_END) == 13 && read(fd, buffer, 9) == 1 && read(fd, buffer, 9) == 0);
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    FAILS(write(fd, "x", 1), EBADF);
    EXPECT(!isatty(fd) && close(fd) == 0);
    FAILS(close(fd), EBADF);
    FAILS(open("note.txt", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
    FAILS(open("none.txt", O_RDONLY), ENOENT);
    FAILS(open("note.txt/x", O_RDONLY), ENOTDIR);
    FAILS(open(".", O_WRONLY), EISDIR);
    fd = open("note.txt", O_RDWR | O_TRUNC | O_APPEND);
    EXPECT(fd > 3 && fstat(fd, &stat_of) == 0 && stat_of.st_size == 0);
    EXPECT(write(fd, "ab", 2) == 2 && lseek(fd, 0, SEEK_SET) == 0 && write(fd, "cd", 2) == 2 && lseek(fd, 0, SEEK_CUR) == 4);
    EXPECT(ftruncate(fd, 3) == 0 && fstat(fd, &stat_of) == 0 && stat_of.st_size == 3);
    EXPECT(posix_fallocate(fd, 0, 100) == 0 && fstat(fd, &stat_of) == 0 && stat_of.st_size == 100);
    EXPECT(posix_fadvise(fd, 0, 50, POSIX_FADV_NORMAL) == 0 && fsync(fd) == 0 && fdatasync(fd) == 0);
    struct timespec times[2] = { { 7, 0 }, { 8, 9 } };
    EXPECT(futimens(fd, times) == 0 && fstat(fd, &stat_of) == 0 && stat_of.st_mtim.tv_sec == 8 && stat_of.st_mtim.tv_nsec == 9);
    EXPECT(unlink("note.txt") == 0 && fstat(fd, &stat_of) == 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
    FAILS(unlink("note.txt"), ENOENT);
}

static void directories(void) {
    char target[16] = { 0 };
    struct stat one, other;
    EXPECT(mkdir("d", 0700) == 0 && mkdir("d/e", 0700) == 0);
    FAILS(mkdir("d", 0700), EEXIST);
    FAILS(rmdir("d"), ENOTEMPTY);
    FAILS(unlink("d"), EISDIR);
    fclose(fopen("d/f", "w"));
    FAILS(rmdir("d/f"), ENOTDIR);
    EXPECT(symlink("d/f", "l") == 0 && readlink("l", target, sizeof target) == 3 && !strcmp(target, "d/f"));
    EXPECT(lstat("l", &one) == 0 && S_ISLNK(one.st_mode) && stat("l", &other) == 0 && S_ISREG(other.st_mode));
    FAILS(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
    EXPECT(link("d/f", "d/g") == 0 && stat("d/g", &one) == 0 && one.st_nlink == 2 && one.st_ino == other.st_ino);
    int seen = 0;
    DIR *directory = opendir("d");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        EXPECT(strchr(".efg", entry->d_name[0]) != NULL);
        EXPECT(entry->d_name[0] == '.' || (fstatat(dirfd(directory), entry->d_name, &one, AT_SYMLINK_NOFOLLOW) == 0 && one.st_ino == entry->d_ino));
        seen++;
    }
    EXPECT(seen == 5 && directory && closedir(directory) == 0);
    EXPECT(rename("d/f", "d/e/f") == 0 && rename("d/e", "moved") == 0 && access("moved/f", F_OK) == 0);
    FAILS(rename("moved", "moved/in"), EINVAL);
    FAILS(rename("d/g", "moved"), EISDIR);
    EXPECT(unlink("l") == 0 && unlink("d/g") == 0 && rmdir("d") == 0 && unlink("moved/f") == 0 && rmdir("moved") == 0);
}

static void outside(void) {
    FAILS(open("/etc/passwd", O_RDONLY), ENOENT);
    FAILS(open("../../../etc/passwd", O_RDONLY), ENOTCAPABLE);
    FAILS(unlink("/dev/stdin"), EROFS);
    FAILS(open("/dev/stdin", O_WRONLY), EACCES);
    FAILS(open("/lib/new", O_CREAT | O_WRONLY, 0600), EROFS);
}

static void given(int argc, char **argv) {
    char buffer[64] = { 0 };
    EXPECT(argc == 3 && !strcmp(argv[1], "a b") && !strcmp(argv[2], "c") && getenv("WHO") && !strcmp(getenv("WHO"), "x=y"));
    FILE *file = fopen("/lib/dir/hello.txt", "r");
    EXPECT(file && fgets(buffer, sizeof buffer, file) && !strcmp(buffer, "from the archive\n") && fclose(file) == 0);
    file = fopen("work/seeded.txt", "r+");
    EXPECT(file && fputs("changed", file) >= 0 && fclose(file) == 0);
    EXPECT(fgets(buffer, sizeof buffer, stdin) && !strcmp(buffer, "a line\n") && !isatty(0));
    struct timespec now, later;
    EXPECT(clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec == 1000000000);
    EXPECT(nanosleep(&(struct timespec){ 3600, 0 }, NULL) == 0 && clock_gettime(CLOCK_REALTIME, &later) == 0 && later.tv_sec - now.tv_sec == 3600);
    struct pollfd both[2] = { { .fd = 0, .events = POLLIN }, { .fd = 1, .events = POLLOUT } };
    EXPECT(poll(both, 2, 1000) == 2 && both[0].revents & POLLIN && both[1].revents & POLLOUT);
    EXPECT(getentropy(buffer, 8) == 0);
}

int main(int argc, char **argv) {
    given(argc, argv);
    EXPECT(chdir("work") == 0);
    files();
    directories();
    outside();
    printf("%d met\n", met);
    return 0;
}
