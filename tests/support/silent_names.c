/* A name server that never answers, as the program sees it: loaded before the C library, this
 * stands in for its lookup of names. */
#include <unistd.h>

int getaddrinfo(const char *host, const char *port, const void *hints, void **found) {
    (void)host, (void)port, (void)hints, (void)found;
    for (;;) {
        pause();
    }
}
