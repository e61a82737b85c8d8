/* SPDX-License-Identifier: MIT */
/* `posthorn bench`: runs the bench guest and sets its ticks beside the anchors and the aims. */
#include "cli/run.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OPERATION_MAX   64
#define OPERATION_SIZE  40
#define REASON_SIZE     80
#define FILE_SIZE_MAX   (1 << 20)
#define DEFAULT_TIMEOUT 600
#define GUEST_PASS_CODE 1 /* 0 written to the debug-exit port */

struct measurement {
	char name[OPERATION_SIZE];
	bool is_measured;
	uint64_t ticks;
	char reason[REASON_SIZE]; /* why not, when it is not */
};

struct bench {
	struct run_options run;
	char *guest;
	char *anchors_path;
	char *json_path;
	char *append;
	uint32_t cpu_count;
	bool shows_help;
	struct measurement measurements[OPERATION_MAX];
	uint32_t measurement_count;
};

static const char help_text[] =
    "Usage: posthorn bench [OPTION]...\n"
    "Run the bench guest under Posthorn, with time counted in instructions, and print the ticks\n"
    "of each operation beside Linux KVM's and beside the aim.\n"
    "\n"
    "      --host=WHICH      qemu-svm (default) or bochs-vmx\n"
    "      --apicv=MODE      on bochs-vmx: off, vid or posted (default posted)\n"
    "      --json=FILE       save the result\n"
    "      --cpus=N          virtual CPUs and host CPUs of the bench (default 1)\n"
    "      --append=TEXT     command line of the bench guest, such as iterations=1000\n"
    "      --guest=FILE      instead of guests/bench.elf beside this program\n"
    "      --anchors=FILE    instead of ../bench/anchors.json beside this program\n"
    "      --hypervisor=FILE instead of posthorn.elf beside this program\n"
    "      --emulator=PROG   instead of qemu-system-x86_64\n"
    "      --timeout=SECONDS stop after that time (default 600)\n"
    "      --verbose         show Posthorn's messages on standard error\n"
    "  -h, --help            display this help and exit\n"
    "\n"
    "Exit status: 0 when the bench ran, whether or not each aim was met; else as 'posthorn run'.\n";

static const struct option long_options[] = {
    {"host", required_argument, NULL, 'o'},
    {"apicv", required_argument, NULL, 'd'},
    {"json", required_argument, NULL, 'j'},
    {"cpus", required_argument, NULL, 'c'},
    {"append", required_argument, NULL, 'a'},
    {"guest", required_argument, NULL, 'g'},
    {"anchors", required_argument, NULL, 'n'},
    {"hypervisor", required_argument, NULL, 'y'},
    {"emulator", required_argument, NULL, 'e'},
    {"timeout", required_argument, NULL, 't'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int set_text(char **slot, const char *value)
{
	free(*slot);
	*slot = cli_duplicate(value);
	return CLI_OK;
}

static int set_number(uint32_t *slot, const char *name, const char *value, uint32_t max)
{
	uint64_t number;

	if (!cli_parse_number(value, 1, max, &number))
		return cli_fail(
		    CLI_USAGE, "--%s must be a number from 1 to %u, not '%s'", name, max, value);
	*slot = (uint32_t)number;
	return CLI_OK;
}

static int apply(struct bench *bench, int option, const char *value)
{
	switch (option) {
	case 'o':
		return options_apply_host(&bench->run, value);
	case 'd':
		return options_apply_delivery(&bench->run, value);
	case 'j':
		return set_text(&bench->json_path, value);
	case 'c':
		return set_number(&bench->cpu_count, "cpus", value, VM_CPU_MAX);
	case 'a':
		return set_text(&bench->append, value);
	case 'g':
		return set_text(&bench->guest, value);
	case 'n':
		return set_text(&bench->anchors_path, value);
	case 'y':
		return set_text(&bench->run.hypervisor, value);
	case 'e':
		return set_text(&bench->run.emulator, value);
	case 't':
		return set_number(&bench->run.timeout_seconds, "timeout", value, 1000000);
	case 'v':
		bench->run.is_verbose = true;
		return CLI_OK;
	case 'h':
		bench->shows_help = true;
		return CLI_OK;
	default:
		return cli_fail(CLI_USAGE, "try 'posthorn bench --help'");
	}
}

static int parse(struct bench *bench, int argc, char **argv)
{
	int status = CLI_OK;
	int option;

	optind = 0;
	while (
	    status == CLI_OK && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		status = apply(bench, option, optarg);
	if (status == CLI_OK && optind < argc)
		status = cli_fail(
		    CLI_USAGE, "'%s' is no option; try 'posthorn bench --help'", argv[optind]);
	return status;
}

/* "bench NAME TICKS" or "bench NAME - REASON"; other lines are the guest's own talk. */
static void take_line(struct bench *bench, const char *line)
{
	struct measurement *measurement = &bench->measurements[bench->measurement_count];
	unsigned long long ticks;
	char name[OPERATION_SIZE];
	int at = 0;

	if (bench->measurement_count == OPERATION_MAX)
		return;
	if (sscanf(line, "bench %39s %n", name, &at) != 1 || !at)
		return;
	strcpy(measurement->name, name);
	if (sscanf(line + at, "%llu", &ticks) == 1) {
		measurement->is_measured = true;
		measurement->ticks = ticks;
	} else if (line[at] == '-') {
		snprintf(measurement->reason, REASON_SIZE, "%s", line[at + 1] ? line + at + 2 : "");
	} else {
		return;
	}
	bench->measurement_count++;
}

static void take_console(struct bench *bench, char *console)
{
	char *rest = NULL;

	for (char *line = strtok_r(console, "\r\n", &rest); line;
	     line = strtok_r(NULL, "\r\n", &rest))
		take_line(bench, line);
}

static uint32_t measured_count(const struct bench *bench)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < bench->measurement_count; i++)
		count += bench->measurements[i].is_measured;
	return count;
}

/* Run the guest; its console is read for measurements. */
static int measure(struct bench *bench)
{
	struct vm_options *vm = &bench->run.vms[0];
	struct control control;
	char *console = NULL;
	size_t size;
	FILE *stream = open_memstream(&console, &size);
	int status;

	if (!stream)
		return cli_fail(CLI_IO_ERROR, "out of memory");
	vm->image = cli_duplicate(bench->guest);
	vm->must_be_multiboot = true;
	vm->append = bench->append ? cli_duplicate(bench->append) : NULL;
	vm->cpu_count = bench->cpu_count;
	bench->run.pcpu_count = bench->cpu_count;
	bench->run.wants_icount = bench->run.host == HOST_QEMU_SVM;
	control_init(&control, NULL, bench->run.is_verbose);
	status = run_guests(&bench->run, stream, &control);
	control_free(&control);
	fclose(stream);
	if (status != GUEST_PASS_CODE) {
		fprintf(stderr, "%s", console);
		status =
		    status >= CLI_USAGE && !(status & 1)
		        ? status
		        : cli_fail(CLI_VM_ABNORMAL, "the bench guest failed (status %d)", status);
	} else {
		take_console(bench, console);
		status = measured_count(bench)
		             ? CLI_OK
		             : cli_fail(CLI_VM_ABNORMAL, "the bench guest printed no measurement");
	}
	free(console);
	return status;
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text;
	size_t size;

	if (!file)
		return NULL;
	text = cli_allocate(FILE_SIZE_MAX);
	size = fread(text, 1, FILE_SIZE_MAX - 1, file);
	text[size] = 0;
	fclose(file);
	return text;
}

/* The anchors' name of the host: KVM was measured with and without APICv. */
static const char *host_name(const struct bench *bench)
{
	if (bench->run.host == HOST_QEMU_SVM)
		return "qemu-svm";
	return strcmp(bench->run.apicv, "off") ? "bochs-vmx-apicv" : "bochs-vmx";
}

/* The anchors of this host, inside *@document, which the caller deletes. */
static const cJSON *read_anchors(const struct bench *bench, cJSON **document)
{
	char *text = read_file(bench->anchors_path);
	const cJSON *host = NULL;

	if (!text) {
		cli_fail(
		    CLI_BAD_INPUT, "cannot read '%s': %s", bench->anchors_path, strerror(errno));
		return NULL;
	}
	*document = cJSON_Parse(text);
	free(text);
	host = cJSON_GetObjectItemCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(*document, "hosts"), host_name(bench));
	if (!cJSON_IsObject(host)) {
		cli_fail(CLI_BAD_INPUT, "'%s' has no anchors of %s", bench->anchors_path,
		    host_name(bench));
		return NULL;
	}
	return host;
}

static double number_of(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(item) ? cJSON_GetNumberValue(item) : 0;
}

static bool misses_aim(const struct measurement *measurement, const cJSON *anchor)
{
	return anchor &&
	       (!measurement->is_measured || (double)measurement->ticks > number_of(anchor, "aim"));
}

static void print_measurement(const struct measurement *measurement, const cJSON *anchor)
{
	printf("%-28s", measurement->name);
	if (measurement->is_measured)
		printf("%10llu", (unsigned long long)measurement->ticks);
	else
		printf("%10s", "-");
	if (anchor)
		printf("%10.0f%10.0f  %s", number_of(anchor, "kvm"), number_of(anchor, "aim"),
		    misses_aim(measurement, anchor) ? "MISSED" : "met");
	if (!measurement->is_measured)
		printf("  (%s)", measurement->reason);
	putchar('\n');
}

static const struct measurement *find(const struct bench *bench, const char *name)
{
	for (uint32_t i = 0; i < bench->measurement_count; i++) {
		if (!strcmp(bench->measurements[i].name, name))
			return &bench->measurements[i];
	}
	return NULL;
}

/* An operation that has an aim but that the guest does not know misses it, too. */
static void print_all(const struct bench *bench, const cJSON *anchors)
{
	uint32_t missed_count = 0;
	const cJSON *anchor;

	printf("%-28s%10s%10s%10s\n", "ticks per operation", "Posthorn", "KVM 6.1", "aim");
	for (uint32_t i = 0; i < bench->measurement_count; i++) {
		const struct measurement *measurement = &bench->measurements[i];

		anchor = cJSON_GetObjectItemCaseSensitive(anchors, measurement->name);
		print_measurement(measurement, anchor);
		missed_count += misses_aim(measurement, anchor);
	}
	cJSON_ArrayForEach(anchor, anchors)
	{
		if (find(bench, anchor->string))
			continue;
		printf("%-28s%10s%10.0f%10.0f  MISSED: not in the bench guest\n", anchor->string,
		    "-", number_of(anchor, "kvm"), number_of(anchor, "aim"));
		missed_count++;
	}
	printf("%u of %d aims missed\n", missed_count, cJSON_GetArraySize(anchors));
}

static void add_measurement(cJSON *list, const struct measurement *measurement, const cJSON *anchor)
{
	cJSON *entry = cJSON_AddObjectToObject(list, measurement->name);

	if (measurement->is_measured)
		cJSON_AddNumberToObject(entry, "ticks", (double)measurement->ticks);
	else
		cJSON_AddStringToObject(entry, "not_measured", measurement->reason);
	if (!anchor)
		return;
	cJSON_AddNumberToObject(entry, "kvm", number_of(anchor, "kvm"));
	cJSON_AddNumberToObject(entry, "aim", number_of(anchor, "aim"));
	cJSON_AddBoolToObject(entry, "met", !misses_aim(measurement, anchor));
}

static char *make_json(const struct bench *bench, const cJSON *anchors)
{
	cJSON *document = cJSON_CreateObject();
	char date[32];
	time_t now = time(NULL);
	struct tm parts;
	cJSON *list;
	char *text;

	gmtime_r(&now, &parts);
	strftime(date, sizeof(date), "%Y-%m-%d", &parts);
	cJSON_AddStringToObject(document, "posthorn", POSTHORN_VERSION);
	cJSON_AddStringToObject(document, "date", date);
	cJSON_AddStringToObject(document, "host", host_name(bench));
	if (bench->run.host == HOST_BOCHS_VMX)
		cJSON_AddStringToObject(document, "apicv", bench->run.apicv);
	cJSON_AddStringToObject(document, "unit",
	    bench->run.host == HOST_QEMU_SVM ? "instructions (-icount shift=0,sleep=off)"
	                                     : "instructions (Bochs)");
	cJSON_AddNumberToObject(document, "cpus", bench->cpu_count);
	list = cJSON_AddObjectToObject(document, "operations");
	for (uint32_t i = 0; i < bench->measurement_count; i++) {
		const struct measurement *measurement = &bench->measurements[i];

		add_measurement(list, measurement,
		    cJSON_GetObjectItemCaseSensitive(anchors, measurement->name));
	}
	text = cJSON_Print(document);
	cJSON_Delete(document);
	return text;
}

static int save(const struct bench *bench, const cJSON *anchors)
{
	FILE *file = fopen(bench->json_path, "we");
	char *text = make_json(bench, anchors);
	bool saved = file && text && fprintf(file, "%s\n", text) > 0;

	if (file)
		saved = fclose(file) == 0 && saved;
	cJSON_free(text);
	return saved ? CLI_OK
	             : cli_fail(CLI_IO_ERROR, "cannot write '%s': %s", bench->json_path,
	                   strerror(errno));
}

static int bench_run(struct bench *bench)
{
	cJSON *document = NULL;
	const cJSON *anchors = read_anchors(bench, &document);
	int status = anchors ? measure(bench) : CLI_BAD_INPUT;

	if (status == CLI_OK) {
		print_all(bench, anchors);
		if (bench->json_path)
			status = save(bench, anchors);
	}
	cJSON_Delete(document);
	return status;
}

int cli_bench(int argc, char **argv)
{
	struct bench *bench = cli_allocate(sizeof(*bench));
	int status;

	options_init(&bench->run);
	bench->run.timeout_seconds = DEFAULT_TIMEOUT;
	bench->cpu_count = 1;
	bench->guest = cli_beside_executable("guests/bench.elf");
	bench->anchors_path = cli_beside_executable("../bench/anchors.json");
	status = parse(bench, argc, argv);
	if (status == CLI_OK && bench->shows_help)
		fputs(help_text, stdout);
	else if (status == CLI_OK)
		status = bench_run(bench);
	options_free(&bench->run);
	free(bench->guest);
	free(bench->anchors_path);
	free(bench->json_path);
	free(bench->append);
	free(bench);
	return status;
}
