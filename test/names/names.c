/* What a resolver says, for tests: put before the C library (LD_PRELOAD), it answers for names that end with ".test" from the file
 * USHER_NAMES. Its lines are "name address...": the first time that a name is looked up its first line is the answer, the second time
 * the second one, and so on; the last one stays. Looks are counted in USHER_NAMES.looks, beyond the life of a process. Who asks for both
 * families one after the other has looked once: what asks for IPv6 alone is not counted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int resolve_function(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int looks_before(const char *path, const char *name, int counts) {
    char counted[1024], line[1024];
    int looks = 0;
    snprintf(counted, sizeof counted, "%s.looks", path);
    FILE *file = fopen(counted, "a+");
    if (file == NULL) abort();
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        looks += strcmp(line, name) == 0;
    }
    if (counts) fprintf(file, "%s\n", name);
    fclose(file);
    return looks;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    resolve_function *const real = (resolve_function *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *const path = getenv("USHER_NAMES");
    const size_t length = name == NULL ? 0 : strlen(name);
    if (path == NULL || length < 5 || strcmp(name + length - 5, ".test") != 0) return real(name, service, hints, result);
    char line[1024], answer[1024] = "";
    FILE *const file = fopen(path, "r");
    if (file == NULL) abort();
    const int family = hints == NULL ? AF_UNSPEC : hints->ai_family;
    for (int left = looks_before(path, name, family != AF_INET6); left >= 0 && fgets(line, sizeof line, file) != NULL;) {
        if (strncmp(line, name, length) != 0 || line[length] != ' ') continue;
        strcpy(answer, line + length + 1);
        --left;
    }
    fclose(file);
    *result = NULL;
    struct addrinfo numeric = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo **end = result;
    for (char *address = strtok(answer, " \n"); address != NULL; address = strtok(NULL, " \n")) {
        const int is_v6 = strchr(address, ':') != NULL;
        if (family != AF_UNSPEC && is_v6 != (family == AF_INET6)) continue;
        if (real(address, service, &numeric, end) != 0) abort();
        while (*end != NULL) end = &(*end)->ai_next;
    }
    return *result == NULL ? EAI_NONAME : 0;
}
