/* SPDX-License-Identifier: MIT */
/* Parser of the `config` member: one directive on a line, each a word and key=value pairs. */
#include "hypervisor/loader/config.h"

#include "hypervisor/lib/string.h"

#define LINE_MAX_LENGTH 1024u
#define VM_MEMORY_MIN   (2ull << 20)
#define VM_MEMORY_MAX   (1ull << 40)
#define VM_MIGRATE_MAX  60000u
#define PAGE_BYTES      4096u

/* A piece of the config's text; not zero-terminated. */
struct span {
	const char *start;
	size_t length;
};

struct parser {
	const struct bundle *bundle;
	struct host_config *host;
	struct vm_config *vm; /* of the current line */
	unsigned line;
	uint32_t seen; /* keys of the current line, by index in their table */
	bool is_host_seen;
	char *error;
};

/* One key of a directive.  set() returns NULL, or what is wrong with the value. */
struct key {
	const char *name;
	const char *(*set)(struct parser *parser, struct span value);
	bool is_required;
	bool may_repeat;
};

static bool span_is(struct span span, const char *text)
{
	return strlen(text) == span.length && memcmp(span.start, text, span.length) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cut the next word off `rest`; an empty word when none is left. */
static struct span next_word(struct span *rest)
{
	struct span word;

	while (rest->length > 0 && is_blank(*rest->start)) {
		rest->start++;
		rest->length--;
	}
	word.start = rest->start;
	word.length = 0;
	while (rest->length > 0 && !is_blank(*rest->start)) {
		rest->start++;
		rest->length--;
		word.length++;
	}
	return word;
}

static int fail(struct parser *parser, const char *what, struct span where)
{
	snprintf(parser->error, CONFIG_ERROR_SIZE, "config line %u: %s%s%.*s%s", parser->line, what,
	    where.length > 0 ? ": '" : "", (int)(where.length > 64 ? 64 : where.length),
	    where.start, where.length > 0 ? "'" : "");
	return -1;
}

/* Decimal digits only; false for none, too many, or anything else. */
static bool span_number(struct span span, uint64_t *value)
{
	uint64_t result = 0;
	size_t i;

	if (span.length == 0 || span.length > 18)
		return false;
	for (i = 0; i < span.length; i++) {
		if (span.start[i] < '0' || span.start[i] > '9')
			return false;
		result = result * 10 + (uint64_t)(span.start[i] - '0');
	}
	*value = result;
	return true;
}

static bool span_size(struct span span, uint64_t *bytes)
{
	unsigned shift = 0;

	if (span.length == 0)
		return false;
	switch (span.start[span.length - 1]) {
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	}
	if (shift != 0)
		span.length--;
	if (!span_number(span, bytes) || *bytes > VM_MEMORY_MAX >> shift)
		return false;
	*bytes <<= shift;
	return true;
}

static const char *set_switch(struct span value, const char *off, const char *on, bool *to)
{
	if (!span_is(value, on) && !span_is(value, off))
		return "the value is neither off nor on";
	*to = span_is(value, on);
	return NULL;
}

static const char *set_file(struct parser *parser, struct span value, struct vm_file *file)
{
	uint32_t i;

	for (i = 0; i < parser->bundle->file_count; i++) {
		const struct bundle_file *member = &parser->bundle->files[i];

		if (!span_is(value, member->name))
			continue;
		file->name = member->name;
		file->data = member->data;
		file->size = member->size;
		return NULL;
	}
	return "the bundle has no such file";
}

/* ---- Keys of `host` ------------------------------------------------------------------------- */

static const char *host_apicv(struct parser *parser, struct span value)
{
	static const char *const names[] = {
		[PH_DELIVERY_INJECTED] = "off",
		[PH_DELIVERY_VIRTUAL] = "vid",
		[PH_DELIVERY_POSTED] = "posted",
	};
	unsigned i;

	for (i = 0; i <= PH_DELIVERY_POSTED; i++) {
		if (span_is(value, names[i])) {
			parser->host->delivery = (enum ph_delivery)i;
			return NULL;
		}
	}
	return "the value is neither off, vid nor posted";
}

static const char *host_trace(struct parser *parser, struct span value)
{
	return set_switch(value, "off", "on", &parser->host->trace);
}

static const char *host_quiet(struct parser *parser, struct span value)
{
	return set_switch(value, "0", "1", &parser->host->quiet);
}

static const struct key host_keys[] = {
	{ .name = "apicv", .set = host_apicv },
	{ .name = "trace", .set = host_trace },
	{ .name = "quiet", .set = host_quiet },
};

/* ---- Keys of `vm` --------------------------------------------------------------------------- */

static const char *key_name(struct parser *parser, struct span value)
{
	size_t i;

	if (value.length == 0 || value.length >= VM_NAME_SIZE)
		return "a name has 1 to 15 characters";
	for (i = 0; i < value.length; i++) {
		char c = value.start[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return "a name has only a-z, 0-9 and -";
	}
	memcpy(parser->vm->name, value.start, value.length);
	return NULL;
}

static const char *key_cpus(struct parser *parser, struct span value)
{
	uint64_t count;

	if (!span_number(value, &count) || count < 1 || count > VM_CPU_MAX)
		return "cpus must be 1 to 64";
	parser->vm->cpu_count = (uint32_t)count;
	return NULL;
}

static const char *key_memory(struct parser *parser, struct span value)
{
	uint64_t bytes;

	if (!span_size(value, &bytes))
		return "memory must be a number of bytes, or end in K, M or G";
	if (bytes < VM_MEMORY_MIN)
		return "too little memory, the least is 2M";
	if (bytes % PAGE_BYTES != 0)
		return "memory must be a multiple of 4K";
	parser->vm->memory_bytes = bytes;
	return NULL;
}

static const char *key_kind(struct parser *parser, struct span value)
{
	if (!span_is(value, "linux") && !span_is(value, "multiboot"))
		return "kind must be linux or multiboot";
	parser->vm->kind = span_is(value, "linux") ? VM_KIND_LINUX : VM_KIND_MULTIBOOT;
	return NULL;
}

static const char *key_kernel(struct parser *parser, struct span value)
{
	return set_file(parser, value, &parser->vm->kernel);
}

static const char *key_initrd(struct parser *parser, struct span value)
{
	return set_file(parser, value, &parser->vm->initrd);
}

static const char *key_cmdline(struct parser *parser, struct span value)
{
	return set_file(parser, value, &parser->vm->cmdline);
}

static const char *key_module(struct parser *parser, struct span value)
{
	if (parser->vm->module_count == VM_MODULE_MAX)
		return "more than 8 modules";
	return set_file(parser, value, &parser->vm->modules[parser->vm->module_count++]);
}

static const char *key_pin(struct parser *parser, struct span value)
{
	return set_switch(value, "0", "1", &parser->vm->is_pinned);
}

static const char *key_x2apic(struct parser *parser, struct span value)
{
	return set_switch(value, "1", "0", &parser->vm->hides_x2apic);
}

static const char *key_migrate(struct parser *parser, struct span value)
{
	uint64_t milliseconds;

	if (!span_number(value, &milliseconds) || milliseconds > VM_MIGRATE_MAX)
		return "migrate must be 0 to 60000 milliseconds";
	parser->vm->migrate_ms = (uint32_t)milliseconds;
	return NULL;
}

static const struct key vm_keys[] = {
	{ .name = "name", .set = key_name, .is_required = true },
	{ .name = "cpus", .set = key_cpus, .is_required = true },
	{ .name = "memory", .set = key_memory, .is_required = true },
	{ .name = "kind", .set = key_kind, .is_required = true },
	{ .name = "kernel", .set = key_kernel, .is_required = true },
	{ .name = "initrd", .set = key_initrd },
	{ .name = "cmdline", .set = key_cmdline },
	{ .name = "module", .set = key_module, .may_repeat = true },
	{ .name = "pin", .set = key_pin },
	{ .name = "migrate", .set = key_migrate },
	{ .name = "x2apic", .set = key_x2apic },
};

/* ---- Lines ---------------------------------------------------------------------------------- */

static int parse_pair(struct parser *parser, struct span word, const struct key *keys,
    unsigned count)
{
	const char *equals = memchr(word.start, '=', word.length);
	struct span key, value;
	const char *wrong;
	unsigned i;

	if (equals == NULL)
		return fail(parser, "expected key=value", word);
	key.start = word.start;
	key.length = (size_t)(equals - word.start);
	value.start = equals + 1;
	value.length = word.length - key.length - 1;
	for (i = 0; i < count && !span_is(key, keys[i].name); i++)
		continue;
	if (i == count)
		return fail(parser, "unknown key", key);
	if (parser->seen & 1u << i && !keys[i].may_repeat)
		return fail(parser, "key given twice", key);
	parser->seen |= 1u << i;
	wrong = keys[i].set(parser, value);
	return wrong == NULL ? 0 : fail(parser, wrong, word);
}

static int parse_pairs(struct parser *parser, struct span rest, const struct key *keys,
    unsigned count)
{
	struct span word;
	unsigned i;

	parser->seen = 0;
	for (word = next_word(&rest); word.length > 0; word = next_word(&rest)) {
		if (parse_pair(parser, word, keys, count) != 0)
			return -1;
	}
	for (i = 0; i < count; i++) {
		struct span missing = { keys[i].name, strlen(keys[i].name) };

		if (keys[i].is_required && !(parser->seen & 1u << i))
			return fail(parser, "missing key", missing);
	}
	return 0;
}

/* What one kind of guest has and the other does not; a wrong key would be dropped silently. */
static int check_vm(struct parser *parser, const struct vm_config *vms, uint32_t vm_count)
{
	const struct vm_config *vm = parser->vm;
	struct span name = { vm->name, strlen(vm->name) };
	uint32_t i;

	for (i = 0; i < vm_count; i++) {
		if (strcmp(vms[i].name, vm->name) == 0)
			return fail(parser, "two VMs have the same name", name);
	}
	if (vm->kind == VM_KIND_LINUX && vm->module_count > 0)
		return fail(parser, "module= is for kind=multiboot", name);
	if (vm->kind == VM_KIND_MULTIBOOT && vm->initrd.data != NULL)
		return fail(parser, "initrd= is for kind=linux", name);
	return 0;
}

static int parse_vm(struct parser *parser, struct span rest, struct vm_config *vms, uint32_t vm_max,
    uint32_t *vm_count)
{
	struct span none = { "", 0 };

	if (*vm_count == vm_max)
		return fail(parser, "too many VMs", none);
	parser->vm = &vms[*vm_count];
	memset(parser->vm, 0, sizeof(*parser->vm));
	if (parse_pairs(parser, rest, vm_keys, sizeof(vm_keys) / sizeof(vm_keys[0])) != 0 ||
	    check_vm(parser, vms, *vm_count) != 0)
		return -1;
	(*vm_count)++;
	return 0;
}

static int parse_host(struct parser *parser, struct span rest)
{
	struct span none = { "", 0 };

	if (parser->is_host_seen)
		return fail(parser, "a second host directive", none);
	parser->is_host_seen = true;
	return parse_pairs(parser, rest, host_keys, sizeof(host_keys) / sizeof(host_keys[0]));
}

/* Cut the next line off `rest`, without its newline. */
static struct span next_line(struct span *rest)
{
	const char *newline = memchr(rest->start, '\n', rest->length);
	struct span line = *rest;

	if (newline != NULL)
		line.length = (size_t)(newline - rest->start);
	rest->start += line.length + (newline != NULL);
	rest->length -= line.length + (newline != NULL);
	return line;
}

static bool is_printable(struct span line)
{
	size_t i;

	for (i = 0; i < line.length; i++) {
		if ((line.start[i] < ' ' && line.start[i] != '\t') || line.start[i] > '~')
			return false;
	}
	return true;
}

static int parse_line(struct parser *parser, struct span line, struct vm_config *vms,
    uint32_t vm_max, uint32_t *vm_count)
{
	struct span none = { "", 0 };
	struct span directive;

	if (line.length > LINE_MAX_LENGTH)
		return fail(parser, "longer than 1024 characters", none);
	if (!is_printable(line))
		return fail(parser, "a character that is not printable ASCII", none);
	directive = next_word(&line);
	if (directive.length == 0 || directive.start[0] == '#')
		return 0;
	if (span_is(directive, "host"))
		return parse_host(parser, line);
	if (span_is(directive, "vm"))
		return parse_vm(parser, line, vms, vm_max, vm_count);
	return fail(parser, "unknown directive", directive);
}

int config_parse(const struct bundle *bundle, struct host_config *host, struct vm_config *vms,
    uint32_t vm_max, uint32_t *vm_count, char *error)
{
	const struct bundle_file *file = bundle_find(bundle, "config");
	struct parser parser = { .bundle = bundle, .host = host, .error = error };
	struct span rest;

	memset(host, 0, sizeof(*host));
	host->delivery = PH_DELIVERY_POSTED;
	*vm_count = 0;
	if (file == NULL) {
		snprintf(error, CONFIG_ERROR_SIZE, "config: the bundle has no member 'config'");
		return -1;
	}
	rest.start = (const char *)file->data;
	rest.length = file->size;
	while (rest.length > 0) {
		struct span line = next_line(&rest);

		parser.line++;
		if (parse_line(&parser, line, vms, vm_max, vm_count) != 0)
			return -1;
	}
	if (*vm_count == 0) {
		snprintf(error, CONFIG_ERROR_SIZE, "config: no vm directive");
		return -1;
	}
	return 0;
}
