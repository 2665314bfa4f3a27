// SPDX-License-Identifier: GPL-2.0
/* Prints what is known, as text and as JSON. */
#include <string.h>
#include <time.h>

#include "status.h"

/*
 * The local APIC's registers, and which of them AVIC writes without an exit: AMD's manual
 * 24593, table "Guest vAPIC Register Access Behavior".
 */
static const struct {
	unsigned int offset;
	const char *name;
	bool spares_write;
} registers[] = {
	{ 0x20, "ID", false },	   { 0x30, "VERSION", false }, { 0x80, "TPR", true },	   { 0x90, "APR", false },
	{ 0xa0, "PPR", false },	   { 0xb0, "EOI", true },      { 0xc0, "RRD", false },	   { 0xd0, "LDR", false },
	{ 0xe0, "DFR", false },	   { 0xf0, "SVR", false },     { 0x280, "ESR", false },	   { 0x2f0, "CMCI", false },
	{ 0x300, "ICR", true },	   { 0x310, "ICR2", true },    { 0x320, "TIMER", false },  { 0x330, "THERMAL", false },
	{ 0x340, "PMC", false },   { 0x350, "LVT0", false },   { 0x360, "LVT1", false },   { 0x370, "LVTERR", false },
	{ 0x380, "TMICT", false }, { 0x390, "TMCCT", false },  { 0x3e0, "TDCR", false },   { 0x3f0, "SELF_IPI", true },
};

#define APR 0x90
#define CMCI 0x2f0
#define ICR 0x300
#define TMCCT 0x390

/* Why AVIC left an IPI to KVM; the hardware's number. */
#define INVALID_INT_TYPE 0
#define INVALID_TARGET 2

/* "" if there is none. */
static const char *register_name(unsigned int offset)
{
	size_t i;

	if (offset >= BANKS_BEGIN && offset < BANKS_END)
		return ((const char *const[]){ "ISR", "TMR", "IRR" })[(offset - BANKS_BEGIN) / BANK_SIZE];
	for (i = 0; i < sizeof(registers) / sizeof(*registers); i++)
		if (registers[i].offset == offset)
			return registers[i].name;
	return "";
}

uint64_t known_registers(void)
{
	uint64_t all = 0;
	unsigned int offset;

	for (offset = 0; offset < NO_REGISTER; offset += 16)
		if (*register_name(offset))
			all |= 1ull << offset / 16;
	return all;
}

/* Whether AVIC carries out an access by itself; what: as in struct spent. */
static bool accelerated(__u32 what)
{
	unsigned int offset = what & ~WRITTEN;
	size_t i;

	if (!(what & WRITTEN))
		return *register_name(offset) && offset != APR && offset != CMCI && offset != TMCCT;
	for (i = 0; i < sizeof(registers) / sizeof(*registers); i++)
		if (registers[i].offset == offset)
			return registers[i].spares_write;
	return false;
}

/* What is counted, by name. */
static void name_count(const struct kvm_status *status, const struct spent *key, char *name, size_t size)
{
	unsigned int offset = key->what & ~WRITTEN;

	if (key->kind == IPI && (key->what & ~BUSY) < CAUSES_MAX)
		snprintf(name, size, "%s", status->cause_names[key->what & ~BUSY]);
	else if (key->kind == IPI)
		snprintf(name, size, "%u", key->what & ~BUSY);
	else
		snprintf(name, size, "%s", *register_name(offset) ? register_name(offset) : "others");
}

static const struct advice *advice(const char *key)
{
	size_t i;

	for (i = 0; i < advices_count; i++)
		if (!strcmp(advices[i].key, key))
			return &advices[i];
	return NULL;
}

/* The advices for what is seen, each once. */
static size_t advise(const struct host *host, const struct kvm_status *status, const struct advice **found)
{
	size_t count = 0, i, j, k;
	char key[64];

#define ADVISE(name)                                                                  \
	do {                                                                          \
		const struct advice *each = advice(name);                             \
		for (k = 0; k < count && found[k] != each; k++)                       \
			;                                                             \
		if (each && k == count && count < ADVICE_MAX)                         \
			found[count++] = each;                                        \
	} while (0)

	for (i = 0; i < host->missing_count; i++)
		ADVISE(host->missing[i]);
	for (i = 0; status && i < status->vms_count; i++) {
		const struct vm *vm = &status->vms[i];

		for (j = 0; j < vm->reasons_count; j++) {
			snprintf(key, sizeof(key), "inhibit.%s", status->reason_names[vm->reasons[j].number]);
			ADVISE(key);
		}
		for (j = 0; j < vm->vcpus_count; j++) {
			snprintf(key, sizeof(key), "inhibit.%s", vm->vcpus[j].why);
			ADVISE(key);
			if (!strcmp(vm->vcpus[j].mode, "hybrid"))
				ADVISE("vm.hybrid");
		}
	}
	return count;
}

/* The counts of a vCPU's thread are one behind the other; NULL at their end. */
static const struct count *next_count(const struct kvm_status *status, const struct vcpu *vcpu,
				      const struct count *last)
{
	const struct count *end = status->counts + status->counts_count, *each;
	__u32 tid = vcpu->record.tid;
	size_t low = 0, high = status->counts_count;

	while (!last && low < high) {
		size_t middle = (low + high) / 2;

		if (status->counts[middle].key.tid < tid)
			low = middle + 1;
		else
			high = middle;
	}
	for (each = last ? last + 1 : status->counts + low; tid && each < end && each->key.tid == tid; each++)
		if (each->key.vcpu_id == UNKNOWN || each->key.vcpu_id == vcpu->record.id)
			return each;
	return NULL;
}

static uint64_t times(const struct kvm_status *status, const struct vcpu *vcpu, unsigned int kind, __u32 what)
{
	const struct count *each = NULL;
	uint64_t sum = 0;

	while ((each = next_count(status, vcpu, each)))
		if (each->key.kind == kind && each->key.what == what)
			sum += each->times;
	return sum;
}

/*
 * What AVIC does without an exit if it is on, and x2AVIC for x2APIC: what KVM emulated,
 * less what AVIC itself left to KVM, which comes to the same place.
 */
static uint64_t spared(const struct kvm_status *status, const struct vcpu *vcpu, __u32 what)
{
	uint64_t all = times(status, vcpu, EMULATED, what), left = times(status, vcpu, UNACCELERATED, what);

	/* Of IPIs that AVIC leaves to KVM, only those come to that place for which KVM writes the ICR. */
	if (what == (ICR | WRITTEN))
		left += times(status, vcpu, IPI, INVALID_INT_TYPE | BUSY) +
			times(status, vcpu, IPI, INVALID_TARGET | BUSY);
	return accelerated(what) && all > left ? all - left : 0;
}

static const char *vm_state(const struct vm *vm)
{
	size_t on = 0, i;

	if (vm->record.reasons)
		return "off";
	for (i = 0; i < vm->vcpus_count; i++)
		on += vm->vcpus[i].on;
	return on == vm->vcpus_count ? (on ? "on" : "allowed") : on ? "partly" : "off";
}

/* There are fewer registers than that, and fewer causes. */
#define NAMES_MAX 64

/* Calls what it is given for each register or cause of a vCPU's counts, added up by name. */
static void each_count(const struct kvm_status *status, const struct vcpu *vcpu, unsigned int kind, bool only_spared,
		       void (*call)(void *context, const char *name, uint64_t times), void *context)
{
	const struct count *each = NULL;
	char names[NAMES_MAX][32];
	uint64_t sums[NAMES_MAX];
	size_t count = 0, k;

	while ((each = next_count(status, vcpu, each))) {
		char name[32];
		uint64_t number;

		if (each->key.kind != kind)
			continue;
		name_count(status, &each->key, name, sizeof(name));
		number = only_spared ? spared(status, vcpu, each->key.what) : each->times;
		if (!number)
			continue;
		for (k = 0; k < count && strcmp(names[k], name); k++)
			;
		/* A cause that this program does not know has a number for its name. */
		if (k == NAMES_MAX)
			continue;
		if (k == count) {
			snprintf(names[count], sizeof(*names), "%s", name);
			sums[count++] = 0;
		}
		sums[k] += number;
	}
	for (k = 0; k < count; k++)
		call(context, names[k], sums[k]);
}

/* ---- Text ---- */

/*
 * One character of UTF-8, which goes on then; bytes that are none come as they are, and
 * good says so.
 */
static unsigned int next_character(const char **text, bool *good)
{
	const unsigned char *at = (const unsigned char *)*text;
	int more = *at < 0x80 ? 0 : (*at & 0xe0) == 0xc0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 : (*at & 0xf8) == 0xf0 ? 3 : -1, i;
	unsigned int all = more > 0 ? *at & 0x3f >> more : *at;
	static const unsigned int least[] = { 0, 0x80, 0x800, 0x10000 };

	*good = more >= 0;
	for (i = 1; *good && i <= more; i++) {
		*good = (at[i] & 0xc0) == 0x80;
		all = all << 6 | (at[i] & 0x3f);
	}
	*good = *good && all >= least[more] && all < 0x110000 && (all < 0xd800 || all > 0xdfff);
	*text += *good ? 1 + more : 1;
	return *good ? all : *at;
}

/* Whether a terminal shows it, and does nothing else: no control, and none that turns the text around. */
static bool harmless(unsigned int character)
{
	return character >= ' ' && (character < 0x7f || character > 0x9f) && character != 0xad && character != 0x61c &&
	       !(character >= 0x200b && character <= 0x200f) && !(character >= 0x2028 && character <= 0x202e) &&
	       !(character >= 0x2060 && character <= 0x206f) && character != 0xfeff && character < 0xe000;
}

/* What a process calls itself, and others call a VM: it must not reach a terminal as it is. */
static void show_name(FILE *out, const char *name)
{
	while (*name) {
		const char *from = name;
		bool good;
		unsigned int character = next_character(&name, &good);

		if (good && harmless(character))
			fwrite(from, name - from, 1, out);
		else
			for (; from < name; from++)
				fprintf(out, "\\x%02x", (unsigned char)*from);
	}
}

static const char *yes(bool it_does)
{
	return it_does ? "yes" : "no";
}

void show_host(FILE *out, const struct host *host)
{
	size_t i;

	fprintf(out, "kernel   %s\nCPU      ", host->release);
	show_name(out, host->cpu[0] ? host->cpu : "unknown");
	fprintf(out, ", family %u: SVM %s, nested paging %s, AVIC %s, x2AVIC %s\n", host->family,
		yes(host->svm), yes(host->npt), yes(host->avic),
		!host->x2avic ? "no" : host->x2avic_4k ? "yes, 4096 vCPUs" : "yes, 512 vCPUs");
	if (host->iommus)
		fprintf(out, "IOMMU    %d: interrupts to guests %s, x2APIC %s\n", host->iommus,
			yes(host_posts(host)), yes(host->iommu_xt));
	else
		fprintf(out, "IOMMU    none\n");
	fprintf(out, "kvm_amd ");
	for (i = 0; i < PARAMETERS_MAX && host->parameters[i].name; i++)
		if (host->parameters[i].value[0])
			fprintf(out, " %s=%s", host->parameters[i].name, host->parameters[i].value);
	fprintf(out, "%s\n", host->kvm_amd ? "" : " not loaded");
	for (i = 0; i < host->missing_count; i++)
		fprintf(out, "%s %s\n", i ? "        " : "missing ", host->missing[i] + sizeof("host.") - 1);
}

static void show_advices(FILE *out, const struct host *host, const struct kvm_status *status)
{
	const struct advice *found[ADVICE_MAX];
	size_t count = advise(host, status, found), i;

	if (count)
		fprintf(out, "\n");
	for (i = 0; i < count; i++)
		fprintf(out, "%s: %s [%s]\n", strchr(found[i]->key, '.') + 1, found[i]->text, found[i]->source);
}

static void show_bugs(FILE *out, const struct kvm_status *status, bool all)
{
	size_t i, counts[3] = {};

	for (i = 0; i < bugs_count; i++)
		counts[status->verdicts[i]]++;
	fprintf(out, "\nbugs     of %zu, %zu are likely in this kernel%s, %zu are not, and %zu can't be told from its types: "
		     "scripts/affected tells them from its source\n",
		bugs_count, counts[LIKELY], all ? "" : " (--once names them)", counts[NOT], counts[CANNOT_TELL]);
	for (i = 0; all && i < bugs_count; i++)
		if (status->verdicts[i] == LIKELY)
			fprintf(out, "likely   %-20s %s\n", bugs[i].slug, bugs[i].symptom);
}

static void show_reasons(FILE *out, const struct kvm_status *status, const struct vm *vm)
{
	size_t i;

	for (i = 0; i < vm->reasons_count; i++) {
		const struct reason *reason = &vm->reasons[i];

		fprintf(out, "%s %s", i ? "," : ":", status->reason_names[reason->number]);
		if (reason->before)
			fprintf(out, " (for more than %.0f s)", reason->seconds);
		else if (reason->seconds >= 0)
			fprintf(out, " (for %.1f s)", reason->seconds);
		if (reason->sets > 1)
			fprintf(out, " (%ld times)", reason->sets);
	}
}

struct listing {
	FILE *out;
	const char *title;
	int id;
	bool begun;
};

static void list_one(void *context, const char *name, uint64_t times)
{
	struct listing *listing = context;

	if (!listing->begun)
		fprintf(listing->out, "  vCPU %d, %s:", listing->id, listing->title);
	fprintf(listing->out, " %s %llu", name, (unsigned long long)times);
	listing->begun = true;
}

static void list(FILE *out, const struct kvm_status *status, const struct vcpu *vcpu, unsigned int kind,
		 bool only_spared, const char *title)
{
	struct listing listing = { out, title, vcpu->record.id, false };

	each_count(status, vcpu, kind, only_spared, list_one, &listing);
	if (listing.begun)
		fprintf(out, "\n");
}

static void show_rate(FILE *out, double rate)
{
	if (rate < 0)
		fprintf(out, " %10s", "-");
	else
		fprintf(out, " %10.0f", rate);
}

static void show_vm(FILE *out, const struct kvm_status *status, const struct vm *vm)
{
	size_t i;

	fprintf(out, "\nVM of %u ", vm->record.tgid);
	show_name(out, vm->record.comm);
	fprintf(out, "%s", vm->name[0] ? " " : "");
	show_name(out, vm->name);
	fprintf(out, ": AVIC %s", vm_state(vm));
	show_reasons(out, status, vm);
	if (vm->record.windows != UNKNOWN)
		fprintf(out, "; IRQ windows %d", vm->record.windows);
	if (vm->record.vcpus > (int)vm->vcpus_count)
		fprintf(out, "; %zu of %d vCPUs are seen", vm->vcpus_count, vm->record.vcpus);
	fprintf(out, "\n  %4s %-7s %-7s %10s %10s %10s %6s %6s %8s\n", "vCPU", "AVIC", "APIC", "exits/s", "windows/s",
		"wakeups/s", "IRTEs", "posted", "GA Log");
	for (i = 0; i < vm->vcpus_count; i++) {
		const struct vcpu *vcpu = &vm->vcpus[i];

		fprintf(out, "  %4d %-7s %-7s", vcpu->record.id, vcpu->on ? vcpu->mode : "off", vcpu->apic);
		show_rate(out, vcpu->exits_per_s);
		show_rate(out, vcpu->window_exits_per_s);
		show_rate(out, vcpu->wakeups_per_s);
		if (vcpu->record.irtes != UNKNOWN)
			fprintf(out, " %6d %6d", vcpu->record.irtes, vcpu->record.irtes_posted);
		else
			fprintf(out, " %6s %6s", "-", "-");
		if (vcpu->ga_log >= 0)
			fprintf(out, " %8lld", (long long)vcpu->ga_log);
		else
			fprintf(out, " %8s", "-");
		fprintf(out, "%s%s%s\n", *vcpu->why ? "  " : "", vcpu->why, vcpu->record.window == 1 ? "  IRQ window" : "");
	}
	for (i = 0; i < vm->vcpus_count; i++) {
		list(out, status, &vm->vcpus[i], EMULATED, true, "exits that AVIC spares when it is on");
		list(out, status, &vm->vcpus[i], UNACCELERATED, false, "exits with AVIC on");
		list(out, status, &vm->vcpus[i], IPI, false, "IPIs that AVIC left to KVM");
	}
}

static void show_total(FILE *out, const struct kvm_status *status, enum watch watch, enum total total, const char *what)
{
	if (status->seen[watch])
		fprintf(out, "%llu %s", (unsigned long long)status->totals[total], what);
	else
		fprintf(out, "%s can't be seen", what);
}

static void show_watched(FILE *out, const struct kvm_status *status)
{
	if (!(status->watched > 0)) {
		fprintf(out, "watched  no: since when, and how often, is seen only by watching (without --once)\n");
		return;
	}
	fprintf(out, "watched  %.0f s: ", status->watched);
	show_total(out, status, WATCH_DOORBELLS, DOORBELLS, "doorbells");
	fprintf(out, ", ");
	show_total(out, status, WATCH_IRTES, IRTES_UPDATED, "changes of IRTEs");
	fprintf(out, ", ");
	show_total(out, status, WATCH_GA_LOG, GA_LOG_ENTRIES, "GA Log entries");
	fprintf(out, ", ");
	show_total(out, status, WATCH_OVERFLOWS, GA_LOG_OVERFLOWS, "overflows of it");
	if (status->totals[LOST])
		fprintf(out, "; %llu events are not counted", (unsigned long long)status->totals[LOST]);
	fprintf(out, "\n");
}

void show_text(FILE *out, const struct host *host, const struct kvm_status *status, bool all)
{
	size_t i;

	show_host(out, host);
	show_watched(out, status);
	if (!status->vms_count)
		fprintf(out, "\nno VMs\n");
	for (i = 0; i < status->vms_count; i++)
		show_vm(out, status, &status->vms[i]);
	show_advices(out, host, status);
	show_bugs(out, status, all);
}

/* ---- JSON ---- */

struct json {
	FILE *out;
	bool comma;
};

static void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	while (*text) {
		const char *from = text;
		bool good;
		unsigned int character = next_character(&text, &good);

		if (!good)
			fprintf(out, "\\ufffd");
		else if (character == '"' || character == '\\')
			fprintf(out, "\\%c", character);
		else if (harmless(character))
			fwrite(from, text - from, 1, out);
		else if (character < 0x10000)
			fprintf(out, "\\u%04x", character);
		else
			fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (character >> 10), 0xdc00 + (character & 0x3ff));
	}
	fputc('"', out);
}

/* The next member of an object, or element of a list if key is NULL. */
static FILE *next(struct json *json, const char *key)
{
	if (json->comma)
		fputs(", ", json->out);
	json->comma = true;
	if (key) {
		json_string(json->out, key);
		fputs(": ", json->out);
	}
	return json->out;
}

static void begin(struct json *json, const char *key, char bracket)
{
	fputc(bracket, next(json, key));
	json->comma = false;
}

static void end(struct json *json, char bracket)
{
	fputc(bracket, json->out);
	json->comma = true;
}

static void text(struct json *json, const char *key, const char *value)
{
	json_string(next(json, key), value);
}

static void boolean(struct json *json, const char *key, bool value)
{
	fputs(value ? "true" : "false", next(json, key));
}

static void number(struct json *json, const char *key, long long value)
{
	fprintf(next(json, key), "%lld", value);
}

/* null where it is not known. */
static void known(struct json *json, const char *key, bool it_is, double value, int digits)
{
	if (it_is)
		fprintf(next(json, key), "%.*f", digits, value);
	else
		fputs("null", next(json, key));
}

static void json_host(struct json *json, const struct host *host)
{
	size_t i;

	begin(json, "host", '{');
	text(json, "kernel", host->release);
	text(json, "cpu", host->cpu);
	number(json, "family", host->family);
	boolean(json, "amd", host->amd);
	boolean(json, "svm", host->svm);
	boolean(json, "npt", host->npt);
	boolean(json, "avic", host->avic);
	boolean(json, "x2avic", host->x2avic);
	boolean(json, "x2avic_4k", host->x2avic_4k);
	boolean(json, "erratum_1235", host->erratum_1235);
	number(json, "iommus", host->iommus);
	boolean(json, "iommu_posts", host_posts(host));
	boolean(json, "iommu_x2apic", host->iommu_xt);
	boolean(json, "kvm_amd", host->kvm_amd);
	begin(json, "parameters", '{');
	for (i = 0; i < PARAMETERS_MAX && host->parameters[i].name; i++)
		if (host->parameters[i].value[0])
			text(json, host->parameters[i].name, host->parameters[i].value);
	end(json, '}');
	begin(json, "missing", '[');
	for (i = 0; i < host->missing_count; i++)
		text(json, NULL, host->missing[i] + sizeof("host.") - 1);
	end(json, ']');
	end(json, '}');
}

static void json_one(void *context, const char *name, uint64_t times)
{
	number(context, name, times);
}

static void json_counts(struct json *json, const char *key, const struct kvm_status *status, const struct vcpu *vcpu,
			unsigned int kind, bool only_spared)
{
	static const enum watch watches[] = {
		[UNACCELERATED] = WATCH_UNACCELERATED, [EMULATED] = WATCH_EMULATED, [IPI] = WATCH_IPIS
	};
	/* Where nothing is counted of a vCPU, that may be what was lost. */
	bool seen = status->seen[watches[kind]] && (!status->totals[LOST] || next_count(status, vcpu, NULL));

	if (only_spared)
		seen = seen && status->seen[WATCH_UNACCELERATED] && status->seen[WATCH_IPIS];
	if (!seen) {
		fputs("null", next(json, key));
		return;
	}
	begin(json, key, '{');
	each_count(status, vcpu, kind, only_spared, json_one, json);
	end(json, '}');
}

static void json_vcpu(struct json *json, const struct kvm_status *status, const struct vcpu *vcpu)
{
	begin(json, NULL, '{');
	number(json, "id", vcpu->record.id);
	boolean(json, "on", vcpu->on);
	text(json, "mode", vcpu->mode);
	text(json, "why", vcpu->why);
	text(json, "apic", vcpu->apic);
	known(json, "irq_window", vcpu->record.window != UNKNOWN, vcpu->record.window, 0);
	known(json, "exits", vcpu->record.exits != UNKNOWN, vcpu->record.exits, 0);
	known(json, "irq_window_exits", vcpu->record.window_exits != UNKNOWN, vcpu->record.window_exits, 0);
	known(json, "wakeups", vcpu->record.wakeups != UNKNOWN, vcpu->record.wakeups, 0);
	known(json, "exits_per_second", vcpu->exits_per_s >= 0, vcpu->exits_per_s, 1);
	known(json, "irq_window_exits_per_second", vcpu->window_exits_per_s >= 0, vcpu->window_exits_per_s, 1);
	known(json, "wakeups_per_second", vcpu->wakeups_per_s >= 0, vcpu->wakeups_per_s, 1);
	known(json, "irtes", vcpu->record.irtes != UNKNOWN, vcpu->record.irtes, 0);
	known(json, "irtes_posted", vcpu->record.irtes != UNKNOWN, vcpu->record.irtes_posted, 0);
	known(json, "irtes_logged", vcpu->record.irtes != UNKNOWN, vcpu->record.irtes_logged, 0);
	known(json, "ga_log_entries", vcpu->ga_log >= 0, vcpu->ga_log, 0);
	json_counts(json, "spared_when_on", status, vcpu, EMULATED, true);
	json_counts(json, "unaccelerated", status, vcpu, UNACCELERATED, false);
	json_counts(json, "ipis_left_to_kvm", status, vcpu, IPI, false);
	end(json, '}');
}

static void json_vm(struct json *json, const struct kvm_status *status, const struct vm *vm)
{
	size_t i;

	begin(json, NULL, '{');
	number(json, "pid", vm->record.tgid);
	text(json, "command", vm->record.comm);
	text(json, "name", vm->name);
	text(json, "avic", vm_state(vm));
	begin(json, "inhibits", '[');
	for (i = 0; i < vm->reasons_count; i++) {
		const struct reason *reason = &vm->reasons[i];

		begin(json, NULL, '{');
		text(json, "name", status->reason_names[reason->number]);
		known(json, "seconds", reason->seconds >= 0, reason->seconds, 3);
		boolean(json, "at_least", reason->before);
		known(json, "times", reason->sets >= 0, reason->sets, 0);
		end(json, '}');
	}
	end(json, ']');
	known(json, "irq_windows", vm->record.windows != UNKNOWN, vm->record.windows, 0);
	known(json, "ever_posted", vm->record.posted != UNKNOWN, vm->record.posted, 0);
	known(json, "vcpus_made", vm->record.vcpus != UNKNOWN, vm->record.vcpus, 0);
	begin(json, "vcpus", '[');
	for (i = 0; i < vm->vcpus_count; i++)
		json_vcpu(json, status, &vm->vcpus[i]);
	end(json, ']');
	end(json, '}');
}

static void json_bugs(struct json *json, const struct kvm_status *status)
{
	static const char *const verdicts[] = { [CANNOT_TELL] = "cannot_tell", [LIKELY] = "likely", [NOT] = "not" };
	size_t i;

	begin(json, "bugs", '{');
	for (i = 0; i < bugs_count; i++)
		text(json, bugs[i].slug, verdicts[status->verdicts[i]]);
	end(json, '}');
}

void show_json(FILE *out, const struct host *host, const struct kvm_status *status)
{
	struct json json = { out, false };
	const struct advice *found[ADVICE_MAX];
	bool watched = status->watched > 0;
	size_t i, count;

	begin(&json, NULL, '{');
	number(&json, "version", 1);
	known(&json, "watched_seconds", watched, status->watched, 3);
	json_host(&json, host);
	begin(&json, "totals", '{');
	known(&json, "doorbells", status->seen[WATCH_DOORBELLS], status->totals[DOORBELLS], 0);
	known(&json, "irte_changes", status->seen[WATCH_IRTES], status->totals[IRTES_UPDATED], 0);
	known(&json, "ga_log_entries", status->seen[WATCH_GA_LOG], status->totals[GA_LOG_ENTRIES], 0);
	known(&json, "ga_log_overflows", status->seen[WATCH_OVERFLOWS], status->totals[GA_LOG_OVERFLOWS], 0);
	known(&json, "not_counted", watched, status->totals[LOST], 0);
	end(&json, '}');
	begin(&json, "vms", '[');
	for (i = 0; i < status->vms_count; i++)
		json_vm(&json, status, &status->vms[i]);
	end(&json, ']');
	json_bugs(&json, status);
	begin(&json, "advice", '[');
	count = advise(host, status, found);
	for (i = 0; i < count; i++) {
		begin(&json, NULL, '{');
		text(&json, "about", found[i]->key);
		text(&json, "text", found[i]->text);
		text(&json, "source", found[i]->source);
		end(&json, '}');
	}
	end(&json, ']');
	end(&json, '}');
	fputc('\n', out);
}
