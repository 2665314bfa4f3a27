// SPDX-License-Identifier: GPL-2.0
/* What KVM does with AVIC: read from the kernel by avic.bpf.c, and made sense of here. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "avic.skel.h"
#include "status.h"

#define BTF_FOLDER "/sys/kernel/btf/"

/* What a vCPU's counters were in the last picture. */
struct before {
	uint64_t vcpu;
	uint32_t tgid;
	int64_t exits, window_exits, wakeups;
};

/*
 * A VM, and which inhibits it had when it was first seen.  A new VM may be where one was
 * that is gone, so all three say which it is.
 */
struct first {
	uint64_t kvm, reasons;
	uint32_t tgid, vm_id;
	bool sure; /* the switches of its process are its own */
};

struct kvm_reader {
	struct avic *avic;
	struct bpf_link *iterator;
	struct bpf_link *watches[WATCHES]; /* NULL: this kernel has no such event */
	bool watch;
	int types;	 /* the file that libbpf reads these types from, or -1 */
	struct btf *btf;     /* the kernel's and kvm_amd's types, until what they tell is known */
	struct btf *kvm_btf; /* with kvm's instead; NULL if it is built in */
	char reason_names[REASONS_MAX][32];
	char cause_names[CAUSES_MAX][32];
	enum verdict *verdicts;
	double begin, last;
	bool has_picture;
	struct first *firsts;
	size_t firsts_count;
	struct before *befores;
	size_t befores_count;
};

static bool show_libbpf;

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	return show_libbpf ? vfprintf(stderr, format, args) : 0;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void *must(void *memory)
{
	if (!memory) {
		fprintf(stderr, "avic-status: no memory: end something else, or raise this user's limit (ulimit -v)\n");
		exit(1);
	}
	return memory;
}

/* One more element at the end of an array. */
static void *grown(void *array, size_t count, size_t size)
{
	/* In powers of two. */
	return count & (count - 1) ? array : must(realloc(array, (count ? 2 * count : 1) * size));
}

#define GROW(array, count) ((array) = grown((array), (count), sizeof(*(array))), &(array)[(count)++])

/* ---- Types ---- */

static void *read_file(const char *path, size_t *size)
{
	char *data = NULL;
	size_t room = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY);

	*size = 0;
	if (fd < 0)
		return NULL;
	do {
		if (*size == room) {
			room = room ? 2 * room : 1 << 22;
			data = realloc(data, room);
			if (!data)
				break;
		}
		got = read(fd, data + *size, room - *size);
		*size += got > 0 ? got : 0;
	} while (got > 0);
	close(fd);
	return data;
}

/*
 * The types of the kernel and of a module as one: a module's have the numbers and the
 * strings behind the kernel's.  libbpf could find a module's types itself, but asks the
 * kernel for them in a way that takes CAP_SYS_ADMIN.
 */
static void *joined(const char *module, size_t *size)
{
	size_t base_size, module_size;
	char path[128], *base, *more, *both, *at;
	struct btf_header *first, *second, *header;

	snprintf(path, sizeof(path), BTF_FOLDER "%s", module);
	more = read_file(path, &module_size);
	base = read_file(BTF_FOLDER "vmlinux", &base_size);
	if (!more || !base) {
		free(more);
		*size = base_size;
		return base;
	}
	first = (void *)base;
	second = (void *)more;
	both = must(calloc(1, sizeof(*header) + base_size + module_size));
	header = (void *)both;
	header->magic = first->magic;
	header->version = first->version;
	header->hdr_len = sizeof(*header);
	header->type_len = first->type_len + second->type_len;
	header->str_off = header->type_len;
	header->str_len = first->str_len + second->str_len;
	at = both + sizeof(*header);
	at = mempcpy(at, base + first->hdr_len + first->type_off, first->type_len);
	at = mempcpy(at, more + second->hdr_len + second->type_off, second->type_len);
	at = mempcpy(at, base + first->hdr_len + first->str_off, first->str_len);
	at = mempcpy(at, more + second->hdr_len + second->str_off, second->str_len);
	*size = at - both;
	free(base);
	free(more);
	return both;
}

static struct btf *read_types(const char *module, int *fd)
{
	size_t size;
	void *data = joined(module, &size);
	struct btf *btf = data ? btf__new(data, size) : NULL;

	if (fd) {
		*fd = memfd_create("avic-status", MFD_CLOEXEC);
		if (*fd < 0 || !data || write(*fd, data, size) != (ssize_t)size)
			btf = NULL;
	}
	free(data);
	return btf;
}

static const struct btf_type *find(const struct btf *btf, const char *name, int kind)
{
	int id = btf ? btf__find_by_name_kind(btf, name, kind) : -1;

	return id < 0 ? NULL : btf__type_by_id(btf, id);
}

/* The name of a member's type, NULL if there is no such member; also in what has no name. */
static const char *member_type(const struct btf *btf, const struct btf_type *type, const char *name)
{
	const struct btf_member *member;
	int i;

	if (!type || !btf_is_composite(type))
		return NULL;
	member = btf_members(type);
	for (i = 0; i < btf_vlen(type); i++, member++) {
		const char *each = btf__name_by_offset(btf, member->name_off);
		const struct btf_type *its = btf__type_by_id(btf, member->type);

		if (!strcmp(each, name))
			return btf__name_by_offset(btf, its->name_off);
		if (!*each && (each = member_type(btf, its, name)))
			return each;
	}
	return NULL;
}

/* An enum's names by number, without what they begin with. */
static void read_names(const struct btf *btf, const char *type_name, const char *prefix, char (*names)[32], int max)
{
	const struct btf_type *type = find(btf, type_name, BTF_KIND_ENUM);
	const struct btf_enum *each;
	int i;

	for (i = 0; i < max; i++)
		snprintf(names[i], sizeof(*names), "%d", i);
	if (!type)
		return;
	each = btf_enum(type);
	for (i = 0; i < btf_vlen(type); i++, each++) {
		const char *name = btf__name_by_offset(btf, each->name_off);

		if (each->val >= 0 && each->val < max && !strncmp(name, prefix, strlen(prefix)))
			snprintf(names[each->val], sizeof(*names), "%s", name + strlen(prefix));
	}
}

static bool enumerator(const struct btf *btf, const char *name)
{
	const struct btf_type *type = find(btf, "kvm_apicv_inhibit", BTF_KIND_ENUM);
	int i;

	for (i = 0; type && i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_enum(type)[i].name_off), name))
			return true;
	return false;
}

static bool seen_in(const struct btf *btf, const struct sign *sign)
{
	char name[128], *rest;
	const struct btf_type *type;

	snprintf(name, sizeof(name), "%s", sign->name);
	if (!strcmp(sign->what, "type"))
		return find(btf, name, BTF_KIND_STRUCT);
	if (!strcmp(sign->what, "enum"))
		return enumerator(btf, name);
	if (!strcmp(sign->what, "function")) {
		rest = strchr(name, '/');
		if (rest)
			*rest++ = '\0';
		type = find(btf, name, BTF_KIND_FUNC);
		return type && (!rest || btf_vlen(btf__type_by_id(btf, type->type)) == atoi(rest));
	}
	if (!strcmp(sign->what, "member")) {
		char *member = strchr(name, '.'), *wanted;
		const char *its;

		*member++ = '\0';
		wanted = strchr(member, ':');
		if (wanted)
			*wanted++ = '\0';
		its = member_type(btf, find(btf, name, BTF_KIND_STRUCT), member);
		return its && (!wanted || !strcmp(its, wanted));
	}
	return false;
}

static bool seen(const struct kvm_reader *reader, const struct sign *sign)
{
	char path[128];

	if (!strcmp(sign->what, "parameter")) {
		snprintf(path, sizeof(path), "/sys/module/kvm_amd/parameters/%s", sign->name);
		return !access(path, F_OK);
	}
	return seen_in(reader->btf, sign) || (reader->kvm_btf && seen_in(reader->kvm_btf, sign));
}

static enum verdict judge(const struct kvm_reader *reader, const char *slug)
{
	bool any = false, all = true;
	size_t i;

	for (i = 0; i < signs_count; i++) {
		bool here;

		if (strcmp(signs[i].slug, slug))
			continue;
		here = seen(reader, &signs[i]);
		if (strcmp(signs[i].kind, "has")) {
			if (here)
				return NOT;
		} else {
			any = true;
			all &= here;
		}
	}
	return any && all ? LIKELY : CANNOT_TELL;
}

/* ---- Begin and end ---- */

static void say_why(int error)
{
	char line[128] = "";
	FILE *file = fopen("/sys/kernel/security/lockdown", "r");

	if (file) {
		if (!fgets(line, sizeof(line), file))
			line[0] = '\0';
		fclose(file);
	}
	if (strstr(line, "[confidentiality]"))
		fprintf(stderr, "avic-status: the kernel is locked down (confidentiality) and lets nobody read its memory: "
				"boot with lockdown=integrity, or none\n");
	else if (error == EPERM || error == EACCES)
		fprintf(stderr, "avic-status: no permission: run it as root, or give it CAP_BPF and CAP_PERFMON: "
				"setcap cap_bpf,cap_perfmon=ep avic-status\n");
	else
		fprintf(stderr, "avic-status: the kernel does not take the BPF program: %s: "
				"--verbose shows what it says\n", strerror(error));
}

static bool watch(struct kvm_reader *reader)
{
	struct avic *avic = reader->avic;
	struct bpf_program *const programs[WATCHES] = {
		[WATCH_INHIBITS] = avic->progs.inhibit_changed,
		[WATCH_UNACCELERATED] = avic->progs.unaccelerated,
		[WATCH_EMULATED] = avic->progs.emulated,
		[WATCH_IPIS] = avic->progs.incomplete_ipi,
		[WATCH_GA_LOG] = avic->progs.ga_log,
		[WATCH_DOORBELLS] = avic->progs.doorbell,
		[WATCH_IRTES] = avic->progs.irte_update,
		[WATCH_OVERFLOWS] = avic->progs.overflow,
	};
	int i;

	for (i = 0; i < WATCHES; i++) {
		if (bpf_program__autoload(programs[i]))
			reader->watches[i] = bpf_program__attach(programs[i]);
		if (!reader->watches[i] && i == WATCH_OVERFLOWS)
			reader->watches[i] = bpf_program__attach(avic->progs.overflow_by_kprobe);
		/* What a kernel lacks is not known; without an IOMMU driver there is no overflow. */
		if (!reader->watches[i] && errno != ENOENT && i != WATCH_OVERFLOWS) {
			fprintf(stderr, "avic-status: can't watch KVM's tracepoint for '%s': %s; --once does without\n",
				bpf_program__name(programs[i]), strerror(errno));
			return false;
		}
	}
	return true;
}

/* What a picture can't do without; all else is left out where a kernel lacks it. */
static const struct {
	const char *type, *member;
} needed[] = {
	{ "vcpu_svm", "vmcb01" },      { "vcpu_svm", "current_vmcb" },	     { "kvm_vmcb_info", "ptr" },
	{ "vmcb", "control" },	       { "vmcb_control_area", "int_ctl" },   { "kvm", "arch" },
	{ "kvm_arch", "apicv_inhibit_reasons" }, { "kvm_vcpu", "kvm" },	     { "kvm_vcpu", "vcpu_id" },
	{ "kvm_vcpu", "vcpu_idx" },    { "kvm_vcpu", "pid" },		     { "kvm_vcpu", "arch" },
	{ "kvm_vcpu_arch", "apic" },   { "kvm_vcpu_arch", "apic_base" },     { "kvm_lapic", "apicv_active" },
};

static bool has_needed(const struct btf *btf)
{
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (member_type(btf, find(btf, needed[i].type, BTF_KIND_STRUCT), needed[i].member))
			continue;
		fprintf(stderr, "avic-status: this kernel's KVM has no %s.%s: this avic-status knows kernels from %s; "
				"for a newer one take a newer avic-status\n",
			needed[i].type, needed[i].member, known_kernels);
		return false;
	}
	return true;
}

static bool readable_types(struct kvm_reader *reader, char *path, size_t size)
{
	if (access(BTF_FOLDER "vmlinux", R_OK)) {
		fprintf(stderr, "avic-status: the kernel does not tell its types: it has to be built with "
				"CONFIG_DEBUG_INFO_BTF=y\n");
		return false;
	}
	reader->btf = read_types("kvm_amd", &reader->types);
	if (!reader->btf) {
		fprintf(stderr, "avic-status: the kernel's types can't be read: %s: they may be newer than this "
				"avic-status, which knows kernels from %s\n", strerror(errno), known_kernels);
		return false;
	}
	if (!find(reader->btf, "vcpu_svm", BTF_KIND_STRUCT)) {
		fprintf(stderr, "avic-status: kvm_amd does not tell its types: the kernel has to be built with "
				"CONFIG_DEBUG_INFO_BTF_MODULES=y\n");
		return false;
	}
	snprintf(path, size, "/proc/self/fd/%d", reader->types);
	return has_needed(reader->btf);
}

/* What the types tell. */
static void read_signs(struct kvm_reader *reader)
{
	size_t i;

	if (!access(BTF_FOLDER "kvm", R_OK))
		reader->kvm_btf = read_types("kvm", NULL);
	read_names(reader->btf, "kvm_apicv_inhibit", "APICV_INHIBIT_REASON_", reader->reason_names, REASONS_MAX);
	read_names(reader->btf, "avic_ipi_failure_cause", "AVIC_IPI_FAILURE_", reader->cause_names, CAUSES_MAX);
	reader->verdicts = calloc(bugs_count, sizeof(*reader->verdicts));
	for (i = 0; reader->verdicts && i < bugs_count; i++)
		reader->verdicts[i] = judge(reader, bugs[i].slug);
	btf__free(reader->btf);
	btf__free(reader->kvm_btf);
	reader->btf = reader->kvm_btf = NULL;
}

struct kvm_reader *open_kvm(bool watching, bool verbose)
{
	struct kvm_reader *reader = calloc(1, sizeof(*reader));
	LIBBPF_OPTS(bpf_object_open_opts, opts);
	struct bpf_program *program;
	char path[64];
	int error;

	if (!reader)
		return NULL;
	reader->types = -1;
	show_libbpf = verbose;
	libbpf_set_print(print_libbpf);
	reader->watch = watching;
	if (!readable_types(reader, path, sizeof(path)))
		goto failed;
	opts.btf_custom_path = path;
	reader->avic = avic__open_opts(&opts);
	if (!reader->avic) {
		say_why(errno);
		goto failed;
	}
	if (!watching)
		bpf_object__for_each_program(program, reader->avic->obj)
			bpf_program__set_autoload(program, program == reader->avic->progs.vms);
	reader->avic->rodata->registers = known_registers();
	if (!find(reader->btf, "amd_iommu_restart_ga_log", BTF_KIND_FUNC))
		bpf_program__set_autoload(reader->avic->progs.overflow, false);
	error = -avic__load(reader->avic);
	if (error) {
		say_why(error);
		goto failed;
	}
	if (watching && !watch(reader))
		goto failed;
	close(reader->types);
	reader->types = -1;
	reader->iterator = bpf_program__attach_iter(reader->avic->progs.vms, NULL);
	if (!reader->iterator) {
		say_why(errno);
		goto failed;
	}
	read_signs(reader);
	reader->begin = reader->last = now();
	return reader;
failed:
	close_kvm(reader);
	return NULL;
}

void close_kvm(struct kvm_reader *reader)
{
	size_t i;

	for (i = 0; i < WATCHES; i++)
		bpf_link__destroy(reader->watches[i]);
	if (reader->types >= 0)
		close(reader->types);
	bpf_link__destroy(reader->iterator);
	avic__destroy(reader->avic);
	btf__free(reader->btf);
	btf__free(reader->kvm_btf);
	free(reader->firsts);
	free(reader->befores);
	free(reader->verdicts);
	free(reader);
}

/* ---- Read ---- */

/* QEMU's -name, without what comes behind the name. */
static void read_name(unsigned int tgid, char *name, size_t size)
{
	char path[64], *line, *at, *end;
	size_t length;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%u/cmdline", tgid);
	line = read_file(path, &length);
	for (at = line, end = line + length; line && at < end; at += strnlen(at, end - at) + 1) {
		if (strcmp(at, "-name") || at + 6 >= end)
			continue;
		at += 6;
		snprintf(name, size, "%.*s", (int)(end - at), at + (strncmp(at, "guest=", 6) ? 0 : 6));
		name[strcspn(name, ",")] = '\0';
		break;
	}
	free(line);
}

/* Not by /proc, which may hide others' processes (hidepid). */
static bool is_gone(uint32_t thread)
{
	return kill(thread, 0) && errno == ESRCH;
}

static bool made_by(const struct record *record)
{
	return record->owner > 0 && (!syscall(SYS_tgkill, record->tgid, record->owner, 0) || errno != ESRCH);
}

/* A VM's and a vCPU's file may be open in several processes: the one that made the VM counts. */
static void add(struct kvm_status *status, const struct record *record)
{
	struct vm *vm = NULL;
	struct vcpu *vcpu;
	size_t i;

	for (i = 0; i < status->vms_count && !vm; i++)
		if (status->vms[i].kvm == record->kvm)
			vm = &status->vms[i];
	if (!vm) {
		vm = GROW(status->vms, status->vms_count);
		memset(vm, 0, sizeof(*vm));
		vm->kvm = record->kvm;
		vm->record = *record;
	} else if (vm->record.tgid != record->tgid && made_by(record)) {
		vm->record = *record;
	}
	if (!record->vcpu)
		return;
	for (i = 0; i < vm->vcpus_count; i++)
		if (vm->vcpus[i].record.vcpu == record->vcpu)
			return;
	vcpu = GROW(vm->vcpus, vm->vcpus_count);
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->record = *record;
}

static int by_process(const void *a, const void *b)
{
	const struct vm *one = a, *other = b;

	if (one->record.tgid != other->record.tgid)
		return one->record.tgid < other->record.tgid ? -1 : 1;
	return one->kvm < other->kvm ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
	const struct vcpu *one = a, *other = b;

	return one->record.id < other->record.id ? -1 : one->record.id > other->record.id;
}

static bool iterate(struct kvm_reader *reader, struct kvm_status *status, int pid)
{
	struct record records[64];
	char *buffer = (char *)records;
	int fd = bpf_iter_create(bpf_link__fd(reader->iterator));
	ssize_t got, have = 0;

	if (fd < 0) {
		say_why(errno);
		return false;
	}
	for (;;) {
		struct record *record = records;

		got = read(fd, buffer + have, sizeof(records) - have);
		/* Among a million files there was none of KVM. */
		if (got < 0 && errno == EAGAIN)
			continue;
		if (got <= 0)
			break;

		for (have += got; have >= (ssize_t)sizeof(*record); have -= sizeof(*record), record++)
			if (!pid || (int)record->tgid == pid)
				add(status, record);
		memmove(buffer, record, have);
	}
	close(fd);
	if (got < 0) {
		fprintf(stderr, "avic-status: the kernel's VMs can't be read: %s: try again; --verbose shows what "
				"libbpf says\n", strerror(errno));
		return false;
	}
	return true;
}

static const struct first *find_first(const struct kvm_reader *reader, const struct vm *vm)
{
	size_t i;

	for (i = 0; i < reader->firsts_count; i++) {
		const struct first *each = &reader->firsts[i];

		if (each->kvm == vm->kvm && each->tgid == vm->record.tgid && each->vm_id == vm->record.vm_id)
			return each;
	}
	return NULL;
}

static void read_reasons(struct kvm_reader *reader, struct vm *vm, double time)
{
	const struct first *first = find_first(reader, vm);
	int i;

	for (i = 0; i < REASONS_MAX; i++) {
		struct switched key = { .tgid = vm->record.tgid, .reason = i };
		struct switches its = {};
		struct reason *reason;

		if (!(vm->record.reasons >> i & 1))
			continue;
		reason = &vm->reasons[vm->reasons_count++];
		*reason = (struct reason){ .number = i, .seconds = -1, .sets = -1 };
		if (!reader->watches[WATCH_INHIBITS] || !first || !first->sure)
			continue;
		bpf_map__lookup_elem(reader->avic->maps.switches, &key, sizeof(key), &its, sizeof(its), 0);
		reason->sets = its.sets;
		if (first->reasons >> i & 1 && !its.clears) {
			reason->before = true;
			reason->seconds = time - reader->begin;
		} else if (its.is_set) {
			reason->seconds = time - its.since / 1e9;
		}
	}
}

/* Entries name a vCPU by its index, or by its ID in older kernels: known where that is the same. */
static bool ga_log_names(const struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->vcpus_count; i++)
		if (vm->vcpus[i].record.id != vm->vcpus[i].record.idx)
			return false;
	return vm->record.vm_id;
}

static double rate(int64_t old, int64_t new, double seconds)
{
	return old == UNKNOWN || new == UNKNOWN || old > new || seconds <= 0 ? -1 : (new - old) / seconds;
}

static void read_vcpu(struct kvm_reader *reader, struct vcpu *vcpu, bool names, double seconds)
{
	struct logged key = { .vm_id = vcpu->record.vm_id, .vcpu = vcpu->record.idx };
	size_t i;

	vcpu->exits_per_s = vcpu->window_exits_per_s = vcpu->wakeups_per_s = vcpu->ga_log = -1;
	if (reader->watches[WATCH_GA_LOG] && names) {
		uint64_t times = 0;

		bpf_map__lookup_elem(reader->avic->maps.logged, &key, sizeof(key), &times, sizeof(times), 0);
		vcpu->ga_log = times;
	}
	for (i = 0; reader->watch && i < reader->befores_count; i++) {
		const struct before *old = &reader->befores[i];

		if (old->vcpu != vcpu->record.vcpu || old->tgid != vcpu->record.tgid)
			continue;
		vcpu->exits_per_s = rate(old->exits, vcpu->record.exits, seconds);
		vcpu->window_exits_per_s = rate(old->window_exits, vcpu->record.window_exits, seconds);
		vcpu->wakeups_per_s = rate(old->wakeups, vcpu->record.wakeups, seconds);
		break;
	}
}

static int by_thread(const void *a, const void *b)
{
	const struct count *one = a, *other = b;

	return one->key.tid < other->key.tid ? -1 : one->key.tid > other->key.tid;
}

static void read_counts(struct kvm_reader *reader, struct kvm_status *status)
{
	int fd = bpf_map__fd(reader->avic->maps.spent), cpus = libbpf_num_possible_cpus(), cpu;
	struct spent key, *before = NULL, last;
	uint64_t values[cpus > 0 ? cpus : 1];
	__u32 total;

	while (!bpf_map_get_next_key(fd, before, &key)) {
		struct count *count = GROW(status->counts, status->counts_count);

		count->key = key;
		if (bpf_map_lookup_elem(fd, &key, &count->times))
			status->counts_count--;
		last = key;
		before = &last;
	}
	if (status->counts_count)
		qsort(status->counts, status->counts_count, sizeof(*status->counts), by_thread);
	for (total = 0; total < TOTALS; total++)
		if (!bpf_map__lookup_elem(reader->avic->maps.totals, &total, sizeof(total), values,
					  cpus * sizeof(*values), 0))
			for (cpu = 0; cpu < cpus; cpu++)
				status->totals[total] += values[cpu];
}

/* What the next picture is compared with. */
static void remember_counts(struct kvm_reader *reader, const struct kvm_status *status)
{
	size_t i, j;

	reader->befores_count = 0;
	for (i = 0; i < status->vms_count; i++)
		for (j = 0; j < status->vms[i].vcpus_count; j++) {
			const struct record *record = &status->vms[i].vcpus[j].record;
			struct before *before = GROW(reader->befores, reader->befores_count);

			*before = (struct before){ record->vcpu,		 record->tgid,   record->exits,
						    record->window_exits, record->wakeups };
		}
}

static bool had_a_vm(const struct kvm_reader *reader, uint32_t tgid)
{
	size_t i;

	for (i = 0; i < reader->firsts_count; i++)
		if (reader->firsts[i].tgid == tgid)
			return true;
	return false;
}

static bool has_another(const struct kvm_status *status, const struct vm *vm)
{
	size_t i;

	for (i = 0; i < status->vms_count; i++)
		if (&status->vms[i] != vm && status->vms[i].record.tgid == vm->record.tgid)
			return true;
	return false;
}

/*
 * Which inhibits each VM began with; of VMs that are gone nothing is kept.  An inhibit is
 * switched by a process, of which VM is not said: that is sure only of a process that has,
 * and had, one VM.
 */
static void remember_firsts(struct kvm_reader *reader, const struct kvm_status *status)
{
	struct first *firsts = NULL;
	size_t count = 0, i;

	for (i = 0; i < status->vms_count; i++) {
		const struct vm *vm = &status->vms[i];
		const struct first *old = find_first(reader, vm);
		struct first new = { vm->kvm, vm->record.reasons, vm->record.tgid, vm->record.vm_id, true };

		if (old)
			new = *old;
		else if (reader->has_picture)
			/* A VM that came while we watch: what it has was seen to come. */
			new.reasons = 0;
		else if (reader->watches[WATCH_INHIBITS])
			/* Unless an event has come first, which knows better. */
			bpf_map__update_elem(reader->avic->maps.inhibits, &new.tgid, sizeof(new.tgid),
					     &new.reasons, sizeof(new.reasons), BPF_NOEXIST);
		if (has_another(status, vm) || (!old && had_a_vm(reader, vm->record.tgid)))
			new.sure = false;
		*GROW(firsts, count) = new;
	}
	free(reader->firsts);
	reader->firsts = firsts;
	reader->firsts_count = count;
	reader->has_picture = true;
}

/* Of processes and threads that are gone nothing is counted any more, and their numbers come again. */
static void forget_the_gone(const struct kvm_reader *reader)
{
	const struct {
		struct bpf_map *map;
		size_t size;
	} maps[] = {
		{ reader->avic->maps.spent, sizeof(struct spent) },
		{ reader->avic->maps.switches, sizeof(struct switched) },
		{ reader->avic->maps.inhibits, sizeof(__u32) },
	};
	union {
		__u32 thread; /* what all begin with */
		struct spent spent;
		struct switched switched;
	} key, next;
	size_t i;

	_Static_assert(!offsetof(struct spent, tid) && !offsetof(struct switched, tgid), "which thread stands first");
	for (i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		int fd = bpf_map__fd(maps[i].map);
		bool more = !bpf_map_get_next_key(fd, NULL, &next);

		while (more) {
			key = next;
			more = !bpf_map_get_next_key(fd, &key, &next);
			if (is_gone(key.thread))
				bpf_map_delete_elem(fd, &key);
		}
	}
}

/* VMs whose GA Log entries were counted so far. */
static size_t read_logged(const struct kvm_reader *reader, struct logged **keys)
{
	int fd = bpf_map__fd(reader->avic->maps.logged);
	struct logged key, *before = NULL, last;
	size_t count = 0;

	while (!bpf_map_get_next_key(fd, before, &key)) {
		*GROW(*keys, count) = key;
		last = key;
		before = &last;
	}
	return count;
}

/*
 * An ID of a VM does not come again for long, but the map would get full.  keys: from before
 * the VMs were read, so that a VM that is not among these is gone, or nobody asks for it.
 */
static void forget_logs(const struct kvm_reader *reader, const struct kvm_status *status, const struct logged *keys,
			size_t count)
{
	int fd = bpf_map__fd(reader->avic->maps.logged);
	size_t i, k;

	for (k = 0; k < count; k++) {
		for (i = 0; i < status->vms_count && status->vms[i].record.vm_id != keys[k].vm_id; i++)
			;
		if (i == status->vms_count)
			bpf_map_delete_elem(fd, &keys[k]);
	}
}

/* Processes have other numbers in a PID namespace of our own, and /proc tells of others. */
static bool same_numbers(const struct kvm_reader *reader)
{
	if (reader->avic->bss->reader == (uint32_t)getpid())
		return true;
	fprintf(stderr, "avic-status: this is a PID namespace of its own: run it in the host's, in a container "
			"with --pid=host\n");
	return false;
}

bool read_kvm(struct kvm_reader *reader, struct kvm_status *status, int pid)
{
	struct logged *logged = NULL;
	size_t logged_count = read_logged(reader, &logged), i, j;
	double time = now();
	bool good;

	memset(status, 0, sizeof(*status));
	good = iterate(reader, status, pid) && same_numbers(reader);
	if (good)
		forget_logs(reader, status, logged, logged_count);
	else
		free_status(status);
	free(logged);
	if (!good)
		return false;
	memcpy(status->reason_names, reader->reason_names, sizeof(status->reason_names));
	memcpy(status->cause_names, reader->cause_names, sizeof(status->cause_names));
	status->verdicts = reader->verdicts;
	remember_firsts(reader, status);
	qsort(status->vms, status->vms_count, sizeof(*status->vms), by_process);
	for (i = 0; i < status->vms_count; i++) {
		struct vm *vm = &status->vms[i];

		qsort(vm->vcpus, vm->vcpus_count, sizeof(*vm->vcpus), by_id);
		read_name(vm->record.tgid, vm->name, sizeof(vm->name));
		read_reasons(reader, vm, time);
		for (j = 0; j < vm->vcpus_count; j++) {
			judge_vcpu(&vm->vcpus[j], vm);
			read_vcpu(reader, &vm->vcpus[j], ga_log_names(vm), time - reader->last);
		}
	}
	if (reader->watch) {
		status->watched = time - reader->begin;
		for (i = 0; i < WATCHES; i++)
			status->seen[i] = reader->watches[i];
		read_counts(reader, status);
		forget_the_gone(reader);
	}
	remember_counts(reader, status);
	reader->last = time;
	return true;
}

void free_status(struct kvm_status *status)
{
	size_t i;

	for (i = 0; i < status->vms_count; i++)
		free(status->vms[i].vcpus);
	free(status->vms);
	free(status->counts);
	memset(status, 0, sizeof(*status));
}
