/* SPDX-License-Identifier: MIT */
/* hypervisor/loader/config.c: each key's values and limits, and the line that an error names. */
#include "tests/unit/hypervisor_fake.h"
#include "hypervisor/loader/config.h"

#define VM   "vm name=a cpus=1 memory=64M kind=linux kernel=k"
#define VM_M "vm name=a cpus=1 memory=64M kind=multiboot kernel=k"
#define FIFTY   "01234567890123456789012345678901234567890123456789"
#define HUNDRED FIFTY FIFTY

static struct host_config host;
static struct vm_config vms[3];
static uint32_t named_count;
static char error[CONFIG_ERROR_SIZE];

static int parse_bytes(const char *text, size_t size)
{
	static const uint8_t data[] = "data";
	struct bundle bundle = { .file_count = 4, .files = {
		{ "config", (const uint8_t *)text, size }, { "k", data, 4 }, { "i/rd", data, 3 },
		{ "c", data, 2 } } };

	memset(error, '!', sizeof(error));
	memset(vms, 0xee, sizeof(vms));
	return config_parse(&bundle, &host, vms, 3, &named_count, error);
}

static int parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void all_keys_are_taken(void **state)
{
	(void)state;
	assert_int_equal(parse("# two VMs\n\n  host apicv=vid trace=on quiet=1\n"
	    "vm name=vm-0 cpus=64 memory=3G kind=linux kernel=k initrd=i/rd cmdline=c pin=1 "
	    "x2apic=0 migrate=20\n\tvm\tname=b\tcpus=2 memory=8192K kind=multiboot kernel=k module=c "
	    "module=i/rd"), 0);
	assert_int_equal(host.delivery, PH_DELIVERY_VIRTUAL);
	assert_true(host.trace && host.quiet);
	assert_int_equal(named_count, 2);
	assert_string_equal(vms[0].name, "vm-0");
	assert_int_equal(vms[0].cpu_count, 64);
	assert_int_equal(vms[0].memory_bytes, 3ull << 30);
	assert_int_equal(vms[0].kind, VM_KIND_LINUX);
	assert_string_equal(vms[0].kernel.name, "k");
	assert_int_equal(vms[0].kernel.size, 4);
	assert_int_equal(vms[0].initrd.size, 3);
	assert_int_equal(vms[0].cmdline.size, 2);
	assert_true(vms[0].is_pinned);
	assert_true(vms[0].hides_x2apic);
	assert_int_equal(vms[0].migrate_ms, 20);
	assert_int_equal(vms[1].kind, VM_KIND_MULTIBOOT);
	assert_int_equal(vms[1].memory_bytes, 8ull << 20);
	assert_int_equal(vms[1].module_count, 2);
	assert_string_equal(vms[1].modules[1].name, "i/rd");
	assert_null(vms[1].initrd.data);
	assert_null(vms[1].cmdline.data);
	assert_false(vms[1].is_pinned);
	assert_false(vms[1].hides_x2apic);
	assert_int_equal(vms[1].migrate_ms, 0);
}

static void options_default_to_off(void **state)
{
	(void)state;
	assert_int_equal(parse(VM), 0);
	assert_int_equal(host.delivery, PH_DELIVERY_POSTED);
	assert_false(host.trace || host.quiet);
}

static void malformed_configs_are_refused_with_their_line(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "", "config: no vm directive" },
		{ "# nothing\nhost quiet=1\n", "config: no vm directive" },
		{ "\nvn name=a", "config line 2: unknown directive: 'vn'" },
		{ VM " colour=red", "config line 1: unknown key: 'colour'" },
		{ VM " initrd", "config line 1: expected key=value: 'initrd'" },
		{ VM " cpus=2", "config line 1: key given twice: 'cpus'" },
		{ "vm", "config line 1: missing key: 'name'" },
		{ "vm name=a memory=64M kind=linux kernel=k",
		  "config line 1: missing key: 'cpus'" },
		{ "vm name=a cpus=1 memory=64M kind=linux",
		  "config line 1: missing key: 'kernel'" },
		{ VM "\n" VM, "config line 2: two VMs have the same name: 'a'" },
		{ VM " module=c", "config line 1: module= is for kind=multiboot: 'a'" },
		{ VM_M " initrd=c", "config line 1: initrd= is for kind=linux: 'a'" },
		{ VM " initrd=", "config line 1: the bundle has no such file: 'initrd='" },
		{ VM " initrd=none", "config line 1: the bundle has no such file: 'initrd=none'" },
		{ VM " initrd=i", "config line 1: the bundle has no such file: 'initrd=i'" },
		{ VM " x2apic=2", "config line 1: the value is neither off nor on: 'x2apic=2'" },
		{ VM " pin=2", "config line 1: the value is neither off nor on: 'pin=2'" },
		{ "host\nhost\n" VM, "config line 2: a second host directive" },
		{ "host trace=yes", "config line 1: the value is neither off nor on: 'trace=yes'" },
		{ VM "\r\n", "config line 1: a character that is not printable ASCII" },
		{ VM_M " module=c module=c module=c module=c module=c module=c module=c module=c "
		  "module=c", "config line 1: more than 8 modules: 'module=c'" },
		{ "vm name=a cpus=1 memory=64M kind=linux kernel=k\n"
		  "vm name=b cpus=1 memory=64M kind=linux kernel=k\n"
		  "vm name=c cpus=1 memory=64M kind=linux kernel=k\n"
		  "vm name=d cpus=1 memory=64M kind=linux kernel=k\n",
		  "config line 4: too many VMs" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (parse(rows[i].text) != -1 || strcmp(error, rows[i].error) != 0)
			fail_msg("row %zu: \"%.160s\"", i, error);
	}
}

static void values_keep_their_limits(void **state)
{
	static const struct {
		const char *name, *cpus, *memory, *kind, *migrate;
		bool is_good;
	} rows[] = {
		{ "a", "1", "2M", "linux", "0", true },
		{ "abcdefghijklmno", "64", "1024G", "multiboot", "60000", true },
		{ "abcdefghijklmnop", "1", "64M", "linux", "0", false },
		{ "", "1", "64M", "linux", "0", false }, { "A", "1", "64M", "linux", "0", false },
		{ "a_b", "1", "64M", "linux", "0", false },
		{ "a=b", "1", "64M", "linux", "0", false },
		{ "a", "0", "64M", "linux", "0", false }, { "a", "65", "64M", "linux", "0", false },
		{ "a", "1000", "64M", "linux", "0", false },
		{ "a", "-1", "64M", "linux", "0", false },
		{ "a", "", "64M", "linux", "0", false }, { "a", "0x1", "64M", "linux", "0", false },
		{ "a", "4294967297", "64M", "linux", "0", false },
		{ "a", "99999999999999999999", "64M", "linux", "0", false },
		{ "a", "1", "2097152", "linux", "0", true },
		{ "a", "1", "2097153", "linux", "0", false },
		{ "a", "1", "2047K", "linux", "0", false },
		{ "a", "1", "2049K", "linux", "0", false },
		{ "a", "1", "1025G", "linux", "0", false },
		{ "a", "1", "64m", "linux", "0", false },
		{ "a", "1", "M", "linux", "0", false }, { "a", "1", "", "linux", "0", false },
		{ "a", "1", "18014398509481984K", "linux", "0", false },
		{ "a", "1", "64M", "Linux", "0", false }, { "a", "1", "64M", "", "0", false },
		{ "a", "1", "64M", "linux", "60001", false },
		{ "a", "1", "64M", "linux", "", false },
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text),
		    "vm name=%s cpus=%s memory=%s kind=%s kernel=k migrate=%s",
		    rows[i].name, rows[i].cpus, rows[i].memory, rows[i].kind, rows[i].migrate);
		if ((parse(text) == 0) != rows[i].is_good)
			fail_msg("row %zu: %.160s", i, error);
	}
}

static void long_lines_are_refused_and_errors_cut(void **state)
{
	static const char eleven_hundred[] = "#" HUNDRED HUNDRED HUNDRED HUNDRED
	    HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED;

	(void)state;
	assert_int_equal(parse(eleven_hundred), -1);
	assert_string_equal(error, "config line 1: longer than 1024 characters");
	assert_int_equal(parse("vm " HUNDRED "=1"), -1);
	assert_in_range(strlen(error), 20, CONFIG_ERROR_SIZE - 1);
}

static void zero_bytes_are_refused(void **state)
{
	static const char text[] = VM " cmdline=c\0";

	(void)state;
	assert_int_equal(parse_bytes(text, sizeof(text)), -1);
	assert_string_equal(error, "config line 1: a character that is not printable ASCII");
}

static void missing_member_is_refused(void **state)
{
	struct bundle bundle = { .file_count = 0 };

	(void)state;
	assert_int_equal(config_parse(&bundle, &host, vms, 3, &named_count, error), -1);
	assert_string_equal(error, "config: the bundle has no member 'config'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_keys_are_taken),
		cmocka_unit_test(options_default_to_off),
		cmocka_unit_test(malformed_configs_are_refused_with_their_line),
		cmocka_unit_test(values_keep_their_limits),
		cmocka_unit_test(long_lines_are_refused_and_errors_cut),
		cmocka_unit_test(zero_bytes_are_refused),
		cmocka_unit_test(missing_member_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
