/* Read or write a file again and again, and print how long each time took, in ns.
 *
 *   client read  FILE TIMES LEAST_GAP_US MOST_GAP_US
 *   client write FILE TIMES LEAST_GAP_US MOST_GAP_US ONE OTHER     writes them in turn
 *
 * One time is open, read to the end or write, close: what cat and echo do, without starting them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char buffer[65536];

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void give_up(const char *what) {
  perror(what);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  int writes = !strcmp(argv[1], "write");
  if (writes && argc < 8) return 2;
  const char *file = argv[2];
  int times = atoi(argv[3]), least_us = atoi(argv[4]), most_us = atoi(argv[5]);
  srand(1);
  for (int i = 0; i < times; i++) {
    if (most_us) usleep(least_us + rand() % (most_us - least_us + 1));
    const char *text = writes ? argv[6 + i % 2] : "";
    long long began_ns = now_ns();
    int fd = open(file, writes ? O_WRONLY : O_RDONLY);
    if (fd < 0) give_up(file);
    if (writes) {
      if (write(fd, text, strlen(text)) < 0) give_up(file);
    } else {
      ssize_t n;
      while ((n = read(fd, buffer, sizeof buffer)) > 0) continue;
      if (n < 0) give_up(file);
    }
    close(fd);
    printf("%lld\n", now_ns() - began_ns);
  }
  return 0;
}
