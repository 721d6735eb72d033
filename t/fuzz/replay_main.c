/*
 * Replays a corpus through a fuzz target that is linked without a fuzzer, and
 * says how it went in TAP: one test a file. What is wrong crashes, as under a
 * fuzzer, and the harness reports the tests that are missing.
 *
 * With arguments: the files and folders to replay. Without: the target's own
 * corpus, $KF_TEST_DATA/fuzz/corpus/NAME, where NAME is the program's name with
 * or without its "fuzz_"; an empty input is always tried.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Targets that want it define it; the others leave it out. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned done;

static void report(const char *what)
{
    printf("ok %u - %s\n", ++done, what);
    fflush(stdout);
}

static void bail_out(const char *what, const char *path)
{
    printf("Bail out! %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0;
    size_t room = 0;

    if (file == NULL)
        bail_out("can't open", path);
    for (;;) {
        if (size == room) {
            uint8_t *more;

            room = room ? 2 * room : 4096;
            more = realloc(data, room);
            if (more == NULL)
                bail_out("no memory for", path);
            data = more;
        }
        size_t got = fread(data + size, 1, room - size, file);

        if (got == 0)
            break;
        size += got;
    }
    if (ferror(file))
        bail_out("can't read", path);
    fclose(file);

    /* A block of exactly this size, so that reading past the end is seen. */
    uint8_t *exact = malloc(size ? size : 1);

    if (exact == NULL)
        bail_out("no memory for", path);
    if (size)
        memcpy(exact, data, size);
    free(data);
    printf("# %s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);

    const char *slash = strrchr(path, '/');

    report(slash ? slash + 1 : path);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay(const char *path)
{
    struct stat status;
    struct dirent **entries;
    int count;

    if (stat(path, &status) != 0)
        bail_out("can't find", path);
    if (!S_ISDIR(status.st_mode)) {
        replay_file(path);
        return;
    }
    count = scandir(path, &entries, not_hidden, alphasort);
    if (count < 0)
        bail_out("can't read", path);
    for (int i = 0; i < count; i++) {
        char inner[4096];
        int length = snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);

        if (length < 0 || (size_t)length >= sizeof inner) {
            errno = ENAMETOOLONG;
            bail_out("can't open", entries[i]->d_name);
        }
        replay(inner);
        free(entries[i]);
    }
    free(entries);
}

static void replay_own_corpus(const char *program)
{
    const char *data = getenv("KF_TEST_DATA");
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;
    const char *names[2];
    struct stat status;

    if (strncmp(name, "lt-", 3) == 0)
        name += 3;
    names[0] = name;
    names[1] = strncmp(name, "fuzz_", 5) == 0 ? name + 5 : NULL;
    for (unsigned i = 0; i < 2 && names[i] != NULL; i++) {
        char folder[4096];
        int length =
            snprintf(folder, sizeof folder, "%s/fuzz/corpus/%s", data ? data : "t", names[i]);

        if (length > 0 && (size_t)length < sizeof folder && stat(folder, &status) == 0)
            replay(folder);
    }
}

int main(int argc, char **argv)
{
    static const uint8_t nothing[1];

    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    LLVMFuzzerTestOneInput(nothing, 0);
    report("empty input");
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            replay(argv[i]);
    } else {
        replay_own_corpus(argv[0]);
    }
    printf("1..%u\n", done);
    return 0;
}
