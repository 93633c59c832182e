/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of this process, under the names that the client
 * libraries of Prometheus have for it.  What cannot be read is left out.
 */
#include "daemon/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STAT_SIZE 1024
#define FIELD_STARTED 19		/* proc(5): 22, counted behind
					 * the name */

static bool
read_line(const char *path, char to[STAT_SIZE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, to, STAT_SIZE - 1);
	(void)close(fd);
	to[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static void
put_cpu(struct metrics *m)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) < 0)
		return;
	metrics_total(m, "process_cpu_seconds_total",
	    "Processor time, user and system, in seconds.", "",
	    (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

static void
put_memory(struct metrics *m)
{
	unsigned long long size, resident;
	double page = (double)sysconf(_SC_PAGESIZE);
	char line[STAT_SIZE];

	if (!read_line("/proc/self/statm", line) ||
	    sscanf(line, "%llu %llu", &size, &resident) != 2)
		return;
	metrics_now(m, "process_virtual_memory_bytes",
	    "Virtual memory in bytes.", "", (double)size * page);
	metrics_now(m, "process_resident_memory_bytes",
	    "Resident memory in bytes.", "", (double)resident * page);
}

static void
put_files(struct metrics *m)
{
	DIR *dir = opendir("/proc/self/fd");
	struct rlimit limit;
	uint64_t n = 0;

	if (dir != NULL) {
		for (struct dirent *e; (e = readdir(dir)) != NULL;)
			n += e->d_name[0] != '.';
		(void)closedir(dir);
		metrics_now(m, "process_open_fds", "Open descriptors.", "",
		    (double)(n - 1));		/* without dir's own */
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		metrics_now(m, "process_max_fds",
		    "Descriptors that may be open.", "",
		    (double)limit.rlim_cur);
}

/* The kernel tells it in ticks since the boot. */
static void
put_start(struct metrics *m)
{
	unsigned long long ticks;
	struct timespec up, now;
	char line[STAT_SIZE];
	const char *at;

	if (!read_line("/proc/self/stat", line) ||
	    (at = strrchr(line, ')')) == NULL ||
	    clock_gettime(CLOCK_BOOTTIME, &up) < 0 ||
	    clock_gettime(CLOCK_REALTIME, &now) < 0)
		return;
	for (int i = 0; at != NULL && i <= FIELD_STARTED; i++)
		at = strchr(at + 1, ' ');
	if (at == NULL || sscanf(at, " %llu", &ticks) != 1)
		return;
	metrics_now(m, "process_start_time_seconds",
	    "When the process started, seconds since 1970-01-01 UTC.", "",
	    (double)(now.tv_sec - up.tv_sec) +
	    (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
	    (double)ticks / (double)sysconf(_SC_CLK_TCK));
}

void
metrics_process(struct metrics *m)
{
	put_cpu(m);
	put_memory(m);
	put_files(m);
	put_start(m);
}
