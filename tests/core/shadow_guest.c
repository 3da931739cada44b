// SPDX-License-Identifier: GPL-2.0-only
/* See shadow_guest.h. */
#include <sys/mman.h>

#include "tests/core/shadow_guest.h"

#define FRAMES		(2 * GUEST_PAGES)
#define MAPPING_BYTES	(FRAMES * CORE_PAGE_4K + CORE_PAGE_2M)
#define RETRIES		4

static u8 *frame_of(const struct guest *guest, u64 gpa)
{
	return guest->frames + (u64)guest->frame[gpa / CORE_PAGE_4K] * CORE_PAGE_4K;
}

u64 *guest_at(struct guest *guest, u64 gpa)
{
	guest_check(gpa / CORE_PAGE_4K < GUEST_PAGES);
	return (u64 *)(frame_of(guest, gpa) + gpa % CORE_PAGE_4K);
}

static bool read_entry(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	struct guest *guest = memory->data;

	guest_check(bytes == 8 && address % 8 == 0);
	if (address / CORE_PAGE_4K >= GUEST_PAGES ||
	    (guest->host[address / CORE_PAGE_4K] & HOST_MISSING))
		return false;
	*entry = *guest_at(guest, address);
	return true;
}

static int exchange_entry(const struct walk_memory *memory, u64 address, u32 bytes,
			  u64 old_entry, u64 new_entry)
{
	struct guest *guest = memory->data;
	u64 entry;

	if (guest->no_table_write || !read_entry(memory, address, bytes, &entry) ||
	    (guest->host[address / CORE_PAGE_4K] & HOST_READ_ONLY))
		return -ENXIO;
	if (entry != old_entry)
		return -EAGAIN;
	guest_check(guest->logged < GUEST_LOG);
	guest->log[guest->logged].address = address;
	guest->log[guest->logged++].entry = new_entry;
	*guest_at(guest, address) = new_entry;
	return 0;
}

static bool is_large(const struct guest *guest, u32 gfn)
{
	u32 base = gfn & ~511u;

	return !memcmp(&guest->host[base], &guest->host[base + 1], 511) &&
	       !memcmp(&guest->frame[base], &guest->home[base], 512 * sizeof(u32));
}

static int translate(void *context, hypr_gpa_t gpa, bool write, struct shadow_host_page *page)
{
	struct guest *guest = context;
	void (*meddle)(struct guest *guest) = guest->meddle;
	u32 gfn = gpa.addr / CORE_PAGE_4K;

	(void)write;
	guest->meddle = NULL;
	if (meddle)
		meddle(guest);
	if (gpa.addr / CORE_PAGE_4K >= GUEST_PAGES || (guest->host[gfn] & HOST_MISSING))
		return -ENOENT;
	page->hpa = plat_virt_to_hpa(frame_of(guest, gpa.addr));
	page->writable = !(guest->host[gfn] & HOST_READ_ONLY);
	page->executable = !(guest->host[gfn] & HOST_NO_EXECUTE);
	page->large = is_large(guest, gfn);
	return 0;
}

static void flush_address(void *context, u16 pcid, hypr_gva_t gva)
{
	struct guest *guest = context;
	struct guest_tlb_entry *entry = guest->tlb[0];

	guest->flushes_address++;
	for (u32 i = 0; i < GUEST_VCPUS * GUEST_TLB; i++, entry++)
		if (entry->vpn == gva.addr >> CORE_PAGE_SHIFT &&
		    (entry->global || entry->pcid == pcid))
			entry->valid = false;
}

static void flush_context(void *context, u16 pcid)
{
	struct guest *guest = context;
	struct guest_tlb_entry *entry = guest->tlb[0];

	guest->flushes_context++;
	for (u32 i = 0; i < GUEST_VCPUS * GUEST_TLB; i++, entry++)
		if (!entry->global && entry->pcid == pcid)
			entry->valid = false;
}

static void flush_all(void *context)
{
	struct guest *guest = context;

	guest->flushes_all++;
	memset(guest->tlb, 0, sizeof(guest->tlb));
}

void guest_params(struct guest *guest, u32 max_pages, struct shadow_params *params)
{
	memset(params, 0, sizeof(*params));
	params->memory = &guest->memory;
	params->translate = translate;
	params->context = guest;
	params->tlb.flush_address = flush_address;
	params->tlb.flush_context = flush_context;
	params->tlb.flush_all = flush_all;
	params->tlb.context = guest;
	params->maxphyaddr = 40;
	params->cpu_flags = WALK_PAGE_1G;
	params->max_pages = max_pages;
	params->hash_key = 0x123456789abcdefull;
}

struct guest *guest_create(u32 max_pages, int *err)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	struct shadow_params params;

	guest_check(guest);
	guest->mapping = mmap(NULL, MAPPING_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	guest_check(guest->mapping != MAP_FAILED);
	guest->frames = (u8 *)(((uintptr_t)guest->mapping + CORE_PAGE_2M - 1) &
			       ~(CORE_PAGE_2M - 1));
	for (u32 i = 0; i < GUEST_PAGES; i++)
		guest->frame[i] = guest->home[i] = i;
	guest->memory.read = read_entry;
	guest->memory.exchange = exchange_entry;
	guest->memory.data = guest;
	guest_params(guest, max_pages, &params);
	*err = create_shadow_page_table(&params, &guest->table);
	if (*err) {
		guest_destroy(guest);
		return NULL;
	}
	for (u32 i = 0; i < GUEST_VCPUS; i++)
		shadow_vcpu_init(&guest->vcpu[i], guest->table);
	return guest;
}

void guest_destroy(struct guest *guest)
{
	destroy_shadow_page_table(guest->table);
	munmap(guest->mapping, MAPPING_BYTES);
	free(guest);
}

u64 guest_table(struct guest *guest)
{
	return guest->next_free++ * CORE_PAGE_4K;
}

static u32 index_at(u64 gva, u32 level)
{
	return gva >> (12 + 9 * (level - 1)) & 511;
}

static void put(struct guest *guest, u64 gpa, u64 value)
{
	*guest_at(guest, gpa) = value;
	shadow_guest_wrote(guest->table, hypr_gpa(gpa), 8);
}

u64 guest_entry(struct guest *guest, u64 cr3, u32 levels, u32 level, u64 gva)
{
	u64 table = cr3 & ~0xfffull;

	for (; levels > level; levels--) {
		u64 gpa = table + index_at(gva, levels) * 8;

		if (!(*guest_at(guest, gpa) & G_P))
			put(guest, gpa, guest_table(guest) | G_P | G_W | G_U);
		table = *guest_at(guest, gpa) & 0xffffffffff000ull;
	}
	return table + index_at(gva, level) * 8;
}

void guest_map(struct guest *guest, u64 cr3, u32 levels, u32 level, u64 gva, u64 gpa,
	       u64 flags)
{
	put(guest, guest_entry(guest, cr3, levels, level, gva),
	    gpa | flags | (level > 1 ? G_LARGE : 0));
}

/* GPA of an HPA that the processor reached. */
static u64 gpa_of(struct guest *guest, u64 hpa)
{
	u64 frame = (hpa - plat_virt_to_hpa(guest->frames).addr) / CORE_PAGE_4K;

	guest_check(hpa >= plat_virt_to_hpa(guest->frames).addr && frame < FRAMES);
	for (u32 i = 0; i < GUEST_PAGES; i++)
		if (guest->frame[i] == frame && !(guest->host[i] & HOST_MISSING))
			return i * CORE_PAGE_4K + hpa % CORE_PAGE_4K;
	fprintf(stderr, "the processor reached host frame %llu, which is no guest page\n",
		(unsigned long long)frame);
	abort();
}

/* The mode that the hypervisor runs the guest in. */
static u32 mode_flags(const struct guest *guest, const struct shadow_vcpu *vcpu)
{
	u32 flags = WALK_WP | WALK_NXE;

	if (vcpu->cr4 & CR4_SMEP)
		flags |= WALK_SMEP;
	if (vcpu->cr4 & CR4_SMAP)
		flags |= WALK_SMAP;
	if (guest->rflags & RFLAGS_AC)
		flags |= WALK_AC;
	return flags;
}

static bool processor_walk(struct guest *guest, u32 nr, u64 gva, u32 access, u64 *hpa)
{
	const struct shadow_vcpu *vcpu = &guest->vcpu[nr];
	struct walk walk = {
		.format = vcpu->cr4 & CR4_LA57 ? &walk_x86_5level : &walk_x86_4level,
		.mode = { .flags = mode_flags(guest, vcpu), .maxphyaddr = 52 },
		.memory = &walk_host_memory,
		.root = shadow_root(vcpu).addr,
	};
	u32 key = access | walk.mode.flags << 8;
	u64 vpn = gva >> CORE_PAGE_SHIFT;
	struct guest_tlb_entry *entry = &guest->tlb[nr][(vpn * 31 + vpn / 512 + key * 7) %
							GUEST_TLB];
	struct walk_result result;
	int err;

	if (entry->valid && entry->vpn == vpn && entry->key == key &&
	    (entry->global || entry->pcid == shadow_pcid(vcpu))) {
		*hpa = entry->page + gva % CORE_PAGE_4K;
		return true;
	}
	err = walk_translate(&walk, gva, access, &result);
	if (err) {
		guest_check(err == -EFAULT && result.fault == WALK_FAULT_PAGE);
		guest_check(!(result.error_code & WALK_PF_RSVD));
		return false;
	}
	*hpa = result.address;
	entry->valid = true;
	entry->global = result.global && (vcpu->cr4 & CR4_PGE);
	entry->pcid = shadow_pcid(vcpu);
	entry->key = key;
	entry->vpn = vpn;
	entry->page = result.address & ~(CORE_PAGE_4K - 1);
	return true;
}

struct guest_outcome guest_access(struct guest *guest, u32 nr, u64 gva, u32 access)
{
	struct guest_outcome outcome = { 0 };
	struct shadow_fault fault;
	u64 hpa;

	guest->logged = 0;
	for (guest->retries = 0; guest->retries < RETRIES; guest->retries++) {
		if (processor_walk(guest, nr, gva, access, &hpa)) {
			u64 gpa = gpa_of(guest, hpa);
			u32 host = guest->host[gpa / CORE_PAGE_4K];

			guest_check(!(access & WALK_WRITE) || !(host & HOST_READ_ONLY));
			guest_check(!(access & WALK_FETCH) || !(host & HOST_NO_EXECUTE));
			outcome.gpa = gpa;
			return outcome;
		}
		guest_check(!shadow_fault(&guest->vcpu[nr], hypr_gva(gva), access,
					  guest->rflags, &fault));
		if (fault.result == MMU_RETRY)
			continue;
		outcome.result = fault.result;
		outcome.error_code = fault.error_code;
		outcome.gpa = fault.gpa.addr;
		if (fault.result == MMU_EMULATE) {
			guest_check(access & WALK_WRITE);
			outcome.result = MMU_RETRY;
			outcome.emulate = true;
		}
		return outcome;
	}
	fprintf(stderr, "gva %llx faults all the time\n", (unsigned long long)gva);
	abort();
}

struct guest_outcome guest_store(struct guest *guest, u32 nr, u64 gva, u64 value, u32 access)
{
	struct guest_outcome outcome = guest_access(guest, nr, gva, access | WALK_WRITE);

	if (outcome.result == MMU_RETRY) {
		*guest_at(guest, outcome.gpa) = value;
		if (outcome.emulate)
			shadow_guest_wrote(guest->table, hypr_gpa(outcome.gpa), 8);
	}
	return outcome;
}

void guest_move(struct guest *guest, u32 gfn)
{
	u8 *old = frame_of(guest, gfn * CORE_PAGE_4K);

	guest->frame[gfn] = (guest->frame[gfn] + GUEST_PAGES) % FRAMES;
	memcpy(frame_of(guest, gfn * CORE_PAGE_4K), old, CORE_PAGE_4K);
	memset(old, 0xa5, CORE_PAGE_4K);
	shadow_host_changed(guest->table, hypr_gpa(gfn * CORE_PAGE_4K), CORE_PAGE_4K);
}
