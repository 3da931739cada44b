// SPDX-License-Identifier: GPL-2.0-only
/* A flat model of an EPT context: ept_model.h. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/core/ept_kit.h"
#include "tests/core/ept_model.h"

#define SMALL_PAGES	(512 * 2)
#define LARGE_PAGES	(512 * 514)
#define LARGE_BYTES	(EPT_MODEL_HEAD + EPT_MODEL_LARGE_STEPS * EPT_MODEL_STEP)
/* In the large window, from one look at everything to the next. */
#define LOOK_STEPS	8
#define PAGES_2M	512
#define PAGES_1G	(512 * 512)
/* Windows begin 2 MiB below a multiple of 1 GiB. */
#define BOUNDARY	(3 * CORE_PAGE_1G)

struct page {
	/* HPA and permissions; 0: not mapped. */
	u64 value;
	/* Bits that a CPU has set and nobody has cleared. */
	u32 touched;
	/* Bits that the context reported. */
	u32 reported;
};

struct model {
	struct ept_kit kit;
	u64 base;
	u64 count;
	bool canonical;
	bool exact_touch;
	struct ept_model_tally *tally;
	struct page *pages;
};

static struct page storage[LARGE_PAGES];

#define require(condition)							\
	do {									\
		if (!(condition)) {						\
			printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);	\
			fflush(stdout);						\
			abort();						\
		}								\
	} while (0)

static u64 gpa_of(const struct model *model, u64 page)
{
	return model->base + page * CORE_PAGE_4K;
}

/* A hash of every entry of the tree, those that refer to tables too. */
static u64 digest(const struct ept_context *ept, const u64 *table, u32 level, u64 hash)
{
	for (u32 i = 0; i < CORE_ENTRIES; i++) {
		u64 entry = table[i];

		if (!entry)
			continue;
		hash = (hash ^ entry ^ (u64)i << 52) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 29;
		if (level > 1 && !(entry & 1 << 7))
			hash = digest(ept, plat_hpa_to_virt(hypr_hpa(entry & 0xffffffffff000)),
				      level - 1, hash);
	}
	return hash;
}

static u64 digest_all(const struct model *model)
{
	return digest(&model->kit.ept, model->kit.ept.root, model->kit.ept.levels, 1);
}

/* Whether page @at continues the one before it. */
static bool continues(const struct model *model, u64 at)
{
	u64 before = model->pages[at - 1].value, value = model->pages[at].value;

	return before ? value == before + CORE_PAGE_4K : !value;
}

static void check_translations(const struct model *model)
{
	u64 end = gpa_of(model, model->count);

	for (u64 at = 0, next; at < model->count; at = next) {
		struct memory_mapping run;
		enum ept_refusal why = ept_translate(&model->kit.ept,
						     hypr_gpa(gpa_of(model, at)),
						     end - gpa_of(model, at), &run);
		u64 value = why ? 0 : run.hpa.addr | run.permissions;

		require(!why || why == EPT_NOT_MAPPED);
		require(model->pages[at].value == value);
		next = at + run.size / CORE_PAGE_4K;
		require(next > at && next <= model->count);
		for (u64 i = at + 1; i < next; i++)
			require(continues(model, i));
		require(next == model->count || !continues(model, next));
	}
}

/* Whether [@at, @at + @count) can be one page. */
static bool is_one_page(const struct model *model, u64 at, u64 count)
{
	if (!model->pages[at].value || (model->pages[at].value & ~0xfffull) % (count << 12))
		return false;
	for (u64 i = at + 1; i < at + count; i++) {
		if (!continues(model, i))
			return false;
	}
	return true;
}

/* Every page is as large as it can be. */
static void check_sizes(const struct model *model)
{
	const struct ept_context *ept = &model->kit.ept;
	u64 first = (BOUNDARY - model->base) / CORE_PAGE_4K;
	u64 middle = 0, large = 0;

	if (ept->can.page_1g && ept->can.page_2m && model->count >= first + PAGES_1G)
		large = is_one_page(model, first, PAGES_1G);
	for (u64 at = 0; ept->can.page_2m && at < model->count; at += PAGES_2M)
		middle += is_one_page(model, at, PAGES_2M);
	require(ept->stats.pages[2] == large);
	require(ept->stats.pages[1] == middle - large * 512);
}

static void check_mapped_bytes(const struct model *model)
{
	u64 mapped = 0;

	for (u64 i = 0; i < model->count; i++)
		mapped += model->pages[i].value != 0;
	require(ept_mapped_bytes(&model->kit.ept) == mapped * CORE_PAGE_4K);
}

static void check_all(const struct model *model)
{
	require(ept_kit_clean(&model->kit));
	check_translations(model);
	check_mapped_bytes(model);
	if (model->canonical)
		check_sizes(model);
}

/* A range of pages to work on, and what to do with it. */
struct step {
	u64 first;
	u64 end;
	u64 hpa;
	u32 permissions;
	u32 choice;
};

static enum ept_refusal expect_attributes(const struct model *model, u32 p)
{
	u32 type = p >> 3 & 7;

	if (p & ~0x47fu)
		return EPT_UNKNOWN_PERMISSIONS;
	if (type == 2 || type == 3 || type == 7)
		return EPT_RESERVED_TYPE;
	if (!(p & 0x407))
		return EPT_NO_ACCESS;
	if ((p & 3) == 2)
		return EPT_WRITE_WITHOUT_READ;
	if ((p & 0x400) && !model->kit.ept.can.user_execute)
		return EPT_NO_USER_EXECUTE;
	if (!(p & 1) && !model->kit.ept.can.execute_only)
		return EPT_NO_EXECUTE_ONLY;
	return EPT_OK;
}

static bool any_page(const struct model *model, const struct step *step, bool mapped)
{
	for (u64 i = step->first; i < step->end; i++) {
		if (!model->pages[i].value != mapped)
			return true;
	}
	return false;
}

/*
 * Set the pages of @step to what @value gives, and compare what changes with what
 * the context reported: an INVEPT for each change of a present page.
 */
static void apply(struct model *model, const struct step *step, u64 value, bool keep_hpa,
		  u64 merges)
{
	const struct ept_edit *edit = &model->kit.edit;
	bool changed_present = false;

	for (u64 i = step->first; i < step->end; i++) {
		struct page *page = &model->pages[i];
		u64 gpa = gpa_of(model, i);
		u64 to = value;

		if (keep_hpa)
			to |= page->value & ~0xfffull;
		else if (value)
			to += (i - step->first) * CORE_PAGE_4K;
		if (page->value == to)
			continue;
		require(edit->start.addr <= gpa && gpa < edit->end.addr);
		changed_present |= page->value != 0;
		if (!page->value || !to)
			page->touched = 0;
		page->value = to;
	}
	require(edit->invept == (changed_present || model->kit.ept.stats.merges != merges));
}

static enum ept_refusal do_map(struct model *model, const struct step *step)
{
	u64 merges = model->kit.ept.stats.merges;
	u64 size = (step->end - step->first) * CORE_PAGE_4K;
	enum ept_refusal expected = expect_attributes(model, step->permissions);
	enum ept_refusal why = ept_kit_map(&model->kit, gpa_of(model, step->first), step->hpa,
					   size, step->permissions);

	if (!expected && any_page(model, step, true))
		expected = EPT_OVERLAP;
	require(why == expected || (!expected && why == EPT_NO_MEMORY));
	if (!why)
		apply(model, step, step->hpa | step->permissions, false, merges);
	return why;
}

static enum ept_refusal do_unmap(struct model *model, const struct step *step)
{
	u64 merges = model->kit.ept.stats.merges;
	enum ept_refusal why = ept_unmap(&model->kit.ept, hypr_gpa(gpa_of(model, step->first)),
					 (step->end - step->first) * CORE_PAGE_4K,
					 &model->kit.edit);

	require(!why || why == EPT_NO_MEMORY);
	if (!why)
		apply(model, step, 0, false, merges);
	return why;
}

static enum ept_refusal do_protect(struct model *model, const struct step *step)
{
	u64 merges = model->kit.ept.stats.merges;
	enum ept_refusal expected = expect_attributes(model, step->permissions);
	enum ept_refusal why = ept_protect(&model->kit.ept, hypr_gpa(gpa_of(model, step->first)),
					   (step->end - step->first) * CORE_PAGE_4K,
					   step->permissions, &model->kit.edit);

	if (!expected && any_page(model, step, false))
		expected = EPT_NOT_MAPPED;
	require(why == expected || (!expected && why == EPT_NO_MEMORY));
	if (!why)
		apply(model, step, step->permissions, true, merges);
	return why;
}

static void report(void *argument, hypr_gpa_t gpa, u64 size, u32 bits)
{
	struct model *model = argument;
	u64 first = (gpa.addr - model->base) / CORE_PAGE_4K;

	require(size && bits);
	for (u64 i = 0; i < size / CORE_PAGE_4K; i++) {
		require(!model->pages[first + i].reported);
		model->pages[first + i].reported = bits;
	}
}

/* A CPU touches pages; then the context reports, and clears every second time. */
static enum ept_refusal do_touch(struct model *model, const struct step *step)
{
	struct ept_kit *kit = &model->kit;
	u32 which = EPT_ACCESSED << (step->choice & 1);
	bool clear = step->choice & 2;
	hypr_gpa_t gpa = hypr_gpa(gpa_of(model, step->first));
	u64 size = (step->end - step->first) * CORE_PAGE_4K;
	enum ept_refusal why;

	if (step->choice & 4)
		which = EPT_ACCESSED | EPT_DIRTY;
	for (u64 i = step->first; i < step->end && kit->ept.can.accessed_dirty;
	     i += 1 + step->choice % 37) {
		bool write = i & 1;

		if (!model->pages[i].value)
			continue;
		ept_kit_touch(kit, gpa_of(model, i), write);
		model->pages[i].touched |= EPT_ACCESSED | (write ? EPT_DIRTY : 0);
		model->tally->touched++;
	}
	if (clear)
		why = ept_ad_clear(&kit->ept, gpa, size, which, report, model, &kit->edit);
	else
		why = ept_ad_read(&kit->ept, gpa, size, which, report, model);
	require(why == (kit->ept.can.accessed_dirty ? EPT_OK : EPT_NO_ACCESSED_DIRTY));
	for (u64 i = step->first; i < step->end; i++) {
		struct page *page = &model->pages[i];
		u32 wanted = page->touched & which;

		require(!(page->reported & ~which));
		require(!(wanted & ~page->reported));
		require(!model->exact_touch || wanted == page->reported);
		if (clear)
			page->touched &= ~which;
		page->reported = 0;
	}
	return why;
}

/* The whole hole around the first page, or all that is mapped around it. */
static void grow_step(const struct model *model, struct step *step)
{
	bool mapped = model->pages[step->first].value;

	while (step->first && !model->pages[step->first - 1].value != mapped)
		step->first--;
	step->end = step->first + 1;
	while (step->end < model->count && !model->pages[step->end].value != mapped)
		step->end++;
}

static void read_step(const struct model *model, const u8 *bytes, struct step *step)
{
	static const u32 permissions[8] = {
		EPT_RWX | EPT_WB, EPT_RWX | EPT_WB, EPT_RWX | EPT_WB, EPT_READ | EPT_WB,
		EPT_READ | EPT_WRITE | EPT_UC | EPT_IGNORE_PAT, EPT_EXEC | EPT_WB,
		EPT_READ | EPT_USER_EXEC | EPT_WP,
	};
	static const u64 offsets[4] = {
		CORE_PAGE_1G, 5 * CORE_PAGE_1G, CORE_PAGE_2M, CORE_PAGE_4K,
	};
	static const u32 lengths[8] = { 1, 1, 7, 511, 512, 513, 1024, LARGE_PAGES };
	u64 first = bytes[1] | bytes[2] << 8 | (u64)bytes[3] << 16;
	u64 length = lengths[bytes[4] & 7] + (bytes[4] & 0x80 ? bytes[4] >> 3 & 15 : 0);

	if (bytes[4] & 0x40)
		first &= ~511ull;
	step->first = first % model->count;
	/* The 1 GiB page, if the window has one. */
	if ((bytes[1] & 7) == 7 && model->count > PAGES_1G) {
		step->first = (BOUNDARY - model->base) / CORE_PAGE_4K;
		length = PAGES_1G;
	}
	step->end = step->first + length;
	if (step->end > model->count)
		step->end = model->count;
	if (bytes[9] & 0xc0)
		grow_step(model, step);
	step->hpa = gpa_of(model, step->first) + (bytes[5] & 0x1c ? 0 : offsets[bytes[5] & 3]);
	step->permissions = permissions[bytes[6] & 7];
	if (!step->permissions)
		step->permissions = bytes[7] | bytes[8] << 8;
	step->choice = bytes[9];
}

/* @look: at all pages and entries, before and after. */
static void run_step(struct model *model, const u8 *bytes, bool look)
{
	static enum ept_refusal (*const operations[8])(struct model *, const struct step *) = {
		do_map, do_map, do_map, do_unmap, do_unmap, do_protect, do_protect, do_touch,
	};
	struct ept_kit *kit = &model->kit;
	struct step step;
	u64 before = look ? digest_all(model) : 0, live = kit->live;
	enum ept_refusal why;

	read_step(model, bytes, &step);
	/* Now and then table pages run out after a few. */
	kit->fuse = bytes[0] & 0x40 ? bytes[0] >> 3 & 7 : UINT64_MAX;
	why = operations[bytes[0] & 7](model, &step);
	if (why) {
		require(!look || digest_all(model) == before);
		require(kit->live == live);
	}
	model->tally->done += !why;
	model->tally->refused += why && why != EPT_NO_MEMORY;
	model->tally->out_of_memory += why == EPT_NO_MEMORY;
	if (bytes[0] & 0x80)
		ept_release_tables(&kit->ept);
	if (look)
		check_all(model);
}

void ept_model_run(const u8 *bytes, size_t size, struct ept_model_tally *tally)
{
	struct model model = { .tally = tally, .pages = storage };
	struct ept_capabilities can = { .maxphyaddr = 52 };
	u32 step = 0;

	if (size < EPT_MODEL_HEAD)
		return;
	can.page_2m = bytes[0] & 1;
	can.page_1g = bytes[0] & 2;
	can.execute_only = bytes[0] & 4;
	can.accessed_dirty = bytes[0] & 8;
	can.user_execute = bytes[0] & 16;
	model.count = bytes[1] == EPT_MODEL_LARGE ? LARGE_PAGES : SMALL_PAGES;
	model.base = BOUNDARY - CORE_PAGE_2M;
	memset(storage, 0, model.count * sizeof(storage[0]));
	if (model.count == LARGE_PAGES && size > LARGE_BYTES)
		size = LARGE_BYTES;
	ept_kit_init(&model.kit, bytes[0] & 32 ? 5 : 4, &can);
	model.kit.ept.keep_small = bytes[0] & 64;
	model.canonical = !model.kit.ept.keep_small;
	model.exact_touch = !can.page_2m;
	for (bytes += EPT_MODEL_HEAD, size -= EPT_MODEL_HEAD; size >= EPT_MODEL_STEP;
	     bytes += EPT_MODEL_STEP, size -= EPT_MODEL_STEP, step++)
		run_step(&model, bytes, model.count == SMALL_PAGES ||
			 step % LOOK_STEPS == LOOK_STEPS - 1 || size < 2 * EPT_MODEL_STEP);
	tally->splits += model.kit.ept.stats.splits;
	tally->merges += model.kit.ept.stats.merges;
	require(ept_kit_fini(&model.kit));
}
