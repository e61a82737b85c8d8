/* SPDX-License-Identifier: MIT */
/* Command line of `posthorn run`. */
#include "cli/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CPU_COUNT 1
#define DEFAULT_MEMORY    (256ULL << 20)

const char run_help_text[] =
    "Usage: posthorn run [OPTION]...\n"
    "Boot one or more guests under Posthorn, which itself runs in an emulator.\n"
    "\n"
    "A VM. --kernel, --guest and --vm begin the next VM; options that follow belong to it\n"
    "(those before the first belong to the first):\n"
    "      --kernel=FILE     Linux bzImage or multiboot ELF, told apart by content\n"
    "      --guest=FILE      multiboot ELF\n"
    "      --vm=FILE         read the options below from FILE, as 'key = value' lines\n"
    "      --initrd=FILE     initial RAM disk of a Linux kernel\n"
    "      --module=FILE     multiboot module (may repeat)\n"
    "      --append=TEXT     command line of the kernel\n"
    "      --cpus=N          virtual CPUs, 1 to 64 (default 1)\n"
    "      --memory=SIZE     memory, with K, M or G (default 256M)\n"
    "      --name=NAME       name in messages (default vm0, vm1, ...)\n"
    "      --pin             keep virtual CPU i on CPU i modulo their number\n"
    "      --x2apic=0        hide x2APIC from this VM\n"
    "      --migrate=MS      move every virtual CPU to the next CPU each MS milliseconds\n"
    "\n"
    "The host:\n"
    "      --host=WHICH      qemu-svm (default), or bochs-vmx: Bochs 3.0, for APICv\n"
    "      --pcpus=N         CPUs of the emulated host (default: as useful here)\n"
    "      --host-memory=SIZE  its memory (default: computed)\n"
    "      --accel=WHICH     kvm, tcg, or auto: kvm where /dev/kvm offers SVM, else tcg (default);\n"
    "                        tcg,thread=multi or tcg,thread=single: a thread for each CPU (as tcg\n"
    "                        from QEMU 10 on) or for all (before: QEMU 7.2 crashes at times)\n"
    "      --apicv=MODE      fastest delivery on VMX: off, vid or posted (default posted)\n"
    "      --icount          count instructions as time: deterministic ticks\n"
    "      --emulator=PROG   instead of qemu-system-x86_64 (or of $POSTHORN_QEMU)\n"
    "      --hypervisor=FILE instead of the posthorn.elf beside this program\n"
    "\n"
    "The run:\n"
    "      --timeout=SECONDS stop everything after that time\n"
    "      --log=FILE        write Posthorn's own messages to FILE\n"
    "      --verbose         show them on standard error\n"
    "      --trace           record delivery events; they end up in the log ('posthorn trace')\n"
    "      --no-tables       do not print the delivery tables at the end\n"
    "      --dry-run         print the emulator's command line, run nothing\n"
    "      --bundle=FILE     keep the bundle of guests in FILE\n"
    "      --iso=FILE        make a bootable ISO image instead of running\n"
    "  -h, --help            display this help and exit\n"
    "\n"
    "Keys on a terminal: Ctrl-A X leaves, Ctrl-A N gives the keyboard to the next VM,\n"
    "Ctrl-A T prints the delivery tables, Ctrl-A R brings out the trace, Ctrl-A H lists these,\n"
    "Ctrl-A Ctrl-A sends Ctrl-A.\n"
    "Input from a pipe or a file waits for the guest's first output.\n"
    "\n"
    "Exit status:\n"
    "    0  every VM powered off (or the user left by Ctrl-A X)\n"
    "  odd  a guest's debug-exit code, (value << 1) | 1; of several VMs the highest\n"
    "   64  wrong usage\n"
    "   66  an input file is missing or not what it should be\n"
    "   68  the emulator, or another program, is missing\n"
    "   70  Posthorn panicked\n"
    "   72  a VM stopped abnormally (triple fault, invalid state, error)\n"
    "   74  a temporary file cannot be written, or the emulator failed\n"
    "   76  Posthorn refused its configuration\n"
    "   78  not supported\n"
    "  124  --timeout passed\n"
    "  130  interrupted by a signal\n";

enum option_id {
	OPTION_VM_SETTING = 256,
	OPTION_NEW_IMAGE,
	OPTION_VM_FILE,
	OPTION_HOST,
	OPTION_PCPUS,
	OPTION_HOST_MEMORY,
	OPTION_ACCELERATOR,
	OPTION_ICOUNT,
	OPTION_APICV,
	OPTION_EMULATOR,
	OPTION_HYPERVISOR,
	OPTION_TIMEOUT,
	OPTION_LOG,
	OPTION_VERBOSE,
	OPTION_NO_TABLES,
	OPTION_TRACE,
	OPTION_DRY_RUN,
	OPTION_BUNDLE,
	OPTION_ISO,
};

static const struct option long_options[] = {
    {"kernel", required_argument, NULL, OPTION_NEW_IMAGE},
    {"guest", required_argument, NULL, OPTION_NEW_IMAGE},
    {"vm", required_argument, NULL, OPTION_VM_FILE},
    {"initrd", required_argument, NULL, OPTION_VM_SETTING},
    {"module", required_argument, NULL, OPTION_VM_SETTING},
    {"append", required_argument, NULL, OPTION_VM_SETTING},
    {"cpus", required_argument, NULL, OPTION_VM_SETTING},
    {"memory", required_argument, NULL, OPTION_VM_SETTING},
    {"name", required_argument, NULL, OPTION_VM_SETTING},
    {"pin", no_argument, NULL, OPTION_VM_SETTING},
    {"migrate", required_argument, NULL, OPTION_VM_SETTING},
    {"x2apic", required_argument, NULL, OPTION_VM_SETTING},
    {"host", required_argument, NULL, OPTION_HOST},
    {"pcpus", required_argument, NULL, OPTION_PCPUS},
    {"host-memory", required_argument, NULL, OPTION_HOST_MEMORY},
    {"accel", required_argument, NULL, OPTION_ACCELERATOR},
    {"icount", no_argument, NULL, OPTION_ICOUNT},
    {"apicv", required_argument, NULL, OPTION_APICV},
    {"emulator", required_argument, NULL, OPTION_EMULATOR},
    {"hypervisor", required_argument, NULL, OPTION_HYPERVISOR},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"log", required_argument, NULL, OPTION_LOG},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"trace", no_argument, NULL, OPTION_TRACE},
    {"no-tables", no_argument, NULL, OPTION_NO_TABLES},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"bundle", required_argument, NULL, OPTION_BUNDLE},
    {"iso", required_argument, NULL, OPTION_ISO},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static struct vm_options *push_vm(struct run_options *options)
{
	struct vm_options *vm = &options->vms[options->vm_count++];

	vm->cpu_count = DEFAULT_CPU_COUNT;
	vm->memory = DEFAULT_MEMORY;
	vm->shows_x2apic = true;
	return vm;
}

void options_init(struct run_options *options)
{
	memset(options, 0, sizeof(*options));
	options->wants_tables = true;
	options->apicv = "posted";
	options->hypervisor = cli_beside_executable("posthorn.elf");
	push_vm(options);
}

void options_free(struct run_options *options)
{
	for (uint32_t i = 0; i < options->vm_count; i++) {
		struct vm_options *vm = &options->vms[i];

		free(vm->image);
		free(vm->initrd);
		free(vm->append);
		for (uint32_t module = 0; module < vm->module_count; module++)
			free(vm->modules[module]);
	}
	free(options->log_path);
	free(options->iso_path);
	free(options->bundle_path);
	free(options->emulator);
	free(options->hypervisor);
}

/* The VM that a new image goes to: the last one while it has none yet. */
static struct vm_options *begin_vm(struct run_options *options)
{
	struct vm_options *last = &options->vms[options->vm_count - 1];

	if (!last->image)
		return last;
	return options->vm_count < VM_MAX ? push_vm(options) : NULL;
}

static int apply_to_vm(struct vm_options *vm, const char *key, const char *value)
{
	char *error = NULL;
	int status = vm_apply(vm, key, value, &error);

	if (status != CLI_OK)
		cli_fail(CLI_USAGE, "--%s: %s", key, error);
	free(error);
	return status;
}

static int apply_number(uint32_t *slot, const char *key, const char *value, uint32_t max)
{
	uint64_t number;

	if (!cli_parse_number(value, 1, max, &number))
		return cli_fail(
		    CLI_USAGE, "--%s must be a number from 1 to %u, not '%s'", key, max, value);
	*slot = (uint32_t)number;
	return CLI_OK;
}

static int apply_accelerator(struct run_options *options, const char *value)
{
	static const struct {
		const char *name;
		enum accelerator accelerator;
	} names[] = {
	    {"auto", ACCELERATOR_AUTO},
	    {"kvm", ACCELERATOR_KVM},
	    {"tcg", ACCELERATOR_TCG},
	    {"tcg,thread=single", ACCELERATOR_TCG_SINGLE},
	    {"tcg,thread=multi", ACCELERATOR_TCG_MULTI},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(value, names[i].name)) {
			options->accelerator = names[i].accelerator;
			return CLI_OK;
		}
	}
	return cli_fail(CLI_USAGE,
	    "--accel must be auto, kvm, tcg, tcg,thread=single or tcg,thread=multi, not '%s'", value);
}

int options_apply_delivery(struct run_options *options, const char *value)
{
	static const char *const names[] = {"off", "vid", "posted"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(value, names[i])) {
			options->apicv = names[i];
			return CLI_OK;
		}
	}
	return cli_fail(CLI_USAGE, "--apicv must be off, vid or posted, not '%s'", value);
}

static int apply_path(char **slot, const char *value)
{
	free(*slot);
	*slot = cli_duplicate(value);
	return CLI_OK;
}

int options_apply_host(struct run_options *options, const char *value)
{
	if (!strcmp(value, "qemu-svm"))
		options->host = HOST_QEMU_SVM;
	else if (!strcmp(value, "bochs-vmx"))
		options->host = HOST_BOCHS_VMX;
	else
		return cli_fail(CLI_NOT_SUPPORTED,
		    "not supported: --host=%s; only qemu-svm and bochs-vmx are", value);
	return CLI_OK;
}

static int apply_flag(bool *flag, bool value)
{
	*flag = value;
	return CLI_OK;
}

static int apply_host_memory(struct run_options *options, const char *value)
{
	if (!cli_parse_size(value, &options->host_memory))
		return cli_fail(
		    CLI_USAGE, "--host-memory must be a size such as 2G, not '%s'", value);
	return CLI_OK;
}

static int apply_vm_option(struct run_options *options, int id, const char *key, const char *value)
{
	struct vm_options *vm = &options->vms[options->vm_count - 1];

	if (id != OPTION_VM_SETTING)
		vm = begin_vm(options);
	if (!vm)
		return cli_fail(CLI_USAGE, "more than %d VMs", VM_MAX);
	return id == OPTION_VM_FILE ? vm_file_read(vm, value) : apply_to_vm(vm, key, value);
}

static int apply_option(struct run_options *options, int id, const char *key, const char *value)
{
	switch (id) {
	case OPTION_VM_SETTING:
	case OPTION_NEW_IMAGE:
	case OPTION_VM_FILE:
		return apply_vm_option(options, id, key, value);
	case OPTION_HOST:
		return options_apply_host(options, value);
	case OPTION_PCPUS:
		return apply_number(&options->pcpu_count, key, value, HOST_CPU_MAX);
	case OPTION_HOST_MEMORY:
		return apply_host_memory(options, value);
	case OPTION_ACCELERATOR:
		return apply_accelerator(options, value);
	case OPTION_ICOUNT:
		return apply_flag(&options->wants_icount, true);
	case OPTION_APICV:
		return options_apply_delivery(options, value);
	case OPTION_EMULATOR:
		return apply_path(&options->emulator, value);
	case OPTION_HYPERVISOR:
		return apply_path(&options->hypervisor, value);
	case OPTION_TIMEOUT:
		return apply_number(&options->timeout_seconds, key, value, 1000000);
	case OPTION_LOG:
		return apply_path(&options->log_path, value);
	case OPTION_VERBOSE:
		return apply_flag(&options->is_verbose, true);
	case OPTION_TRACE:
		return apply_flag(&options->wants_trace, true);
	case OPTION_NO_TABLES:
		return apply_flag(&options->wants_tables, false);
	case OPTION_DRY_RUN:
		return apply_flag(&options->is_dry_run, true);
	case OPTION_BUNDLE:
		return apply_path(&options->bundle_path, value);
	case OPTION_ISO:
		return apply_path(&options->iso_path, value);
	case 'h':
		return apply_flag(&options->shows_help, true);
	default:
		return cli_fail(CLI_USAGE, "try 'posthorn run --help'");
	}
}

int options_parse(struct run_options *options, int argc, char **argv)
{
	int status = CLI_OK;
	int id, index = 0;

	optind = 0;
	while (status == CLI_OK && (id = getopt_long(argc, argv, "h", long_options, &index)) != -1)
		status = apply_option(options, id, long_options[index].name, optarg);
	if (status == CLI_OK && optind < argc)
		status = cli_fail(
		    CLI_USAGE, "'%s' is no option; try 'posthorn run --help'", argv[optind]);
	return status;
}
