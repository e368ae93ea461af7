/* The least that libfuse 2 can be made to do: one file, read by handle with direct I/O.
 *
 *   peer SIZE MOUNTPOINT     serves MOUNTPOINT/file of SIZE bytes until it is unmounted
 *
 * What a reader waits for here is what FUSE itself takes on this machine.
 */
#define FUSE_USE_VERSION 26
#include <errno.h>
#include <fuse.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t size;

static int peer_getattr(const char *path, struct stat *answer) {
  memset(answer, 0, sizeof *answer);
  answer->st_nlink = 1;
  if (!strcmp(path, "/"))
    answer->st_mode = S_IFDIR | 0755;
  else if (!strcmp(path, "/file"))
    answer->st_mode = S_IFREG | 0444;
  else
    return -ENOENT;
  return 0;
}

static int peer_open(const char *path, struct fuse_file_info *info) {
  if (strcmp(path, "/file")) return -ENOENT;
  info->direct_io = 1;
  return 0;
}

static int peer_read(const char *path, char *buffer, size_t wanted, off_t offset,
                     struct fuse_file_info *info) {
  (void)path, (void)info;
  if ((size_t)offset >= size) return 0;
  if (wanted > size - offset) wanted = size - offset;
  memcpy(buffer, text + offset, wanted);
  return wanted;
}

static const struct fuse_operations operations = {
    .getattr = peer_getattr, .open = peer_open, .read = peer_read};

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  size = strtoul(argv[1], NULL, 10);
  text = malloc(size);
  memset(text, ' ', size);
  char *arguments[] = {argv[0], "-s", "-f", "-o", "attr_timeout=0,entry_timeout=1", argv[2]};
  return fuse_main(6, arguments, &operations, NULL);
}
