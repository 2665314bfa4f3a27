// SPDX-License-Identifier: GPL-2.0
/* The command line. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "status.h"

static volatile sig_atomic_t ended;

static const char help[] =
	"avic-status [OPTION...]: whether KVM uses AVIC on this machine, for which vCPUs, and why not.\n"
	"\n"
	"  -o, --once              one picture, of what can be seen without watching\n"
	"  -j, --json              one picture, as JSON\n"
	"  -w, --watch SECONDS     with --once or --json: count events for so long first\n"
	"  -i, --interval SECONDS  a new picture so often (2)\n"
	"  -c, --count N           so many pictures, also with --once or --json\n"
	"  -p, --pid PID           only the VMs of this process\n"
	"  -v, --verbose           what libbpf and the kernel say about the BPF program\n"
	"  -h, --help              this text; also: man avic-status\n"
	"  -V, --version\n"
	"\n"
	"It only reads.  It needs root, or CAP_BPF and CAP_PERFMON, and a kernel with BTF.\n"
	"Exit status: 0; 1 if nothing can be shown, and why is said; 2 for wrong use.\n";

static const struct option options[] = {
	{ "once", no_argument, NULL, 'o' },
	{ "json", no_argument, NULL, 'j' },
	{ "watch", required_argument, NULL, 'w' },
	{ "interval", required_argument, NULL, 'i' },
	{ "count", required_argument, NULL, 'c' },
	{ "pid", required_argument, NULL, 'p' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{},
};

struct settings {
	bool once, json, verbose;
	double watch, interval;
	long count, pid;
};

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static void nap(double seconds)
{
	struct timespec time = { (time_t)seconds, (seconds - (time_t)seconds) * 1e9 };

	while (!ended && nanosleep(&time, &time))
		;
}

static double positive(const char *option, const char *value, double max)
{
	char *rest;
	double number = strtod(value, &rest);

	if (*rest || rest == value || !(number > 0 && number <= max)) {
		fprintf(stderr, "avic-status: --%s %s: want a number above 0, up to %.0f: see avic-status --help\n", option,
			value, max);
		exit(2);
	}
	return number;
}

static long whole(const char *option, const char *value, long max)
{
	double number = positive(option, value, max);

	if (number != (long)number) {
		fprintf(stderr, "avic-status: --%s %s: want a whole number: see avic-status --help\n", option, value);
		exit(2);
	}
	return number;
}

static struct settings read_options(int argc, char **argv)
{
	struct settings settings = {};
	int option;

	while ((option = getopt_long(argc, argv, "ojw:i:c:p:vhV", options, NULL)) != -1) {
		switch (option) {
		case 'o':
			settings.once = true;
			break;
		case 'j':
			settings.json = true;
			break;
		case 'w':
			settings.watch = positive("watch", optarg, 86400);
			break;
		case 'i':
			settings.interval = positive("interval", optarg, 86400);
			break;
		case 'c':
			settings.count = whole("count", optarg, 1000000000);
			break;
		case 'p':
			settings.pid = whole("pid", optarg, 1 << 22);
			break;
		case 'v':
			settings.verbose = true;
			break;
		case 'h':
			fputs(help, stdout);
			exit(0);
		case 'V':
			puts("avic-status " VERSION);
			exit(0);
		default:
			fprintf(stderr, "avic-status: see avic-status --help\n");
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "avic-status: takes no argument '%s': see avic-status --help\n", argv[optind]);
		exit(2);
	}
	if (settings.interval && settings.count <= 1 && (settings.once || settings.json)) {
		fprintf(stderr, "avic-status: --interval is for several pictures, and --once and --json are one without "
				"--count: see avic-status --help\n");
		exit(2);
	}
	if (!settings.interval)
		settings.interval = 2;
	if (settings.watch && !settings.once && !settings.json) {
		fprintf(stderr, "avic-status: --watch is for --once or --json; without these it watches anyway: "
				"see avic-status --help\n");
		exit(2);
	}
	return settings;
}

/* Where AVIC can't be: what there is, and why not. */
static int show_no_kvm(const struct host *host, bool json)
{
	struct kvm_status none = {};
	enum verdict verdicts[bugs_count];
	size_t i;

	for (i = 0; i < bugs_count; i++)
		verdicts[i] = CANNOT_TELL;
	none.verdicts = verdicts;
	if (json)
		show_json(stdout, host, &none);
	else
		show_host(stdout, host);
	fflush(stdout);
	for (i = 0; i < advices_count; i++)
		if (host->missing_count && !strcmp(advices[i].key, host->missing[0]))
			fprintf(stderr, "avic-status: no AVIC here: %s\n", advices[i].text);
	return 1;
}

/*
 * A picture in place of the last one: as much of it as the terminal has room for, so that
 * nothing scrolls.  The terminal's modes stay as they are: there is nothing to restore.
 */
static void show_screen(const char *text)
{
	struct winsize size = {};
	size_t rows, row;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	rows = size.ws_row > 2 ? size.ws_row - 2 : 22;
	fputs("\033[H\033[J", stdout);
	for (row = 0; *text && row < rows; row++) {
		size_t length = strcspn(text, "\n"), columns = size.ws_col ? size.ws_col : 80, shown = 0, at;

		/* A character counts once, by its first byte. */
		for (at = 0; at < length; at++) {
			shown += ((unsigned char)text[at] & 0xc0) != 0x80;
			if (shown > columns)
				break;
		}
		fwrite(text, at, 1, stdout);
		putchar('\n');
		text += length + (text[length] == '\n');
	}
	if (*text)
		printf("... (a larger terminal, or output to a file, shows all)\n");
}

static bool show_one(const struct host *host, const struct kvm_status *status, const struct settings *settings,
		     bool first)
{
	bool once = settings->once || settings->json;
	char *text = NULL;
	size_t length;
	FILE *out;

	if (settings->json) {
		show_json(stdout, host, status);
	} else if (once || !isatty(STDOUT_FILENO)) {
		fputs(first ? "" : "\n", stdout);
		show_text(stdout, host, status, once);
	} else {
		out = open_memstream(&text, &length);
		if (!out)
			return false;
		show_text(out, host, status, false);
		if (!fclose(out))
			show_screen(text);
		free(text);
	}
	return !fflush(stdout) && !ferror(stdout);
}

static int show(struct kvm_reader *reader, const struct settings *settings)
{
	bool once = settings->once || settings->json, shown;
	struct kvm_status status;
	struct host host;
	long picture;

	for (picture = 0; !ended; picture++) {
		if (picture == 0 && settings->watch) {
			/* What was there before is known only if it was seen before. */
			if (!read_kvm(reader, &status, settings->pid))
				return 1;
			free_status(&status);
			nap(settings->watch);
		}
		read_host(&host, "");
		if (!read_kvm(reader, &status, settings->pid))
			return 1;
		shown = show_one(&host, &status, settings, picture == 0);
		free_status(&status);
		if (!shown && !ended) {
			fprintf(stderr, "avic-status: what was seen can't be written: %s\n", strerror(errno));
			return 1;
		}
		if (settings->count ? picture + 1 >= settings->count : once)
			break;
		nap(settings->interval);
	}
	if (!picture && ended) {
		fprintf(stderr, "avic-status: ended by a signal before there was a picture\n");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct settings settings = read_options(argc, argv);
	struct kvm_reader *reader;
	struct host host;
	int status;

	read_host(&host, "");
	if (!host.amd || !host.svm || !host.kvm_amd)
		return show_no_kvm(&host, settings.json);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	reader = open_kvm(settings.watch || settings.count > 1 || !(settings.once || settings.json), settings.verbose);
	if (!reader)
		return 1;
	status = show(reader, &settings);
	close_kvm(reader);
	return status;
}
