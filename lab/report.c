/* SPDX-License-Identifier: MIT */
/* One self-contained HTML page for a counterexample, its timeline drawn as SVG. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/engine.h"

#define LANE_WIDTH 190
#define ROW_HEIGHT 46
#define HEAD       40

static void escape(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

static void text_at(FILE *out, int x, int y, const char *kind, const char *text)
{
	fprintf(out, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, kind);
	escape(out, text);
	fprintf(out, "</text>\n");
}

/* Two lines of at most 27 characters; the rest is in the list below the drawing. */
static void label(FILE *out, int x, int y, const char *text)
{
	char line[28];
	size_t cut = strlen(text);

	if (cut > 27) {
		for (cut = 27; cut > 12 && text[cut] != ' '; cut--)
			;
	}
	snprintf(line, sizeof(line), "%.*s", (int)cut, text);
	text_at(out, x, y, "t", line);
	text += cut;
	if (*text) {
		snprintf(line, sizeof(line), "%s", text + (*text == ' '));
		text_at(out, x, y + 12, "t", line);
	}
}

static void draw(FILE *out, const struct result *result)
{
	int width = LANE_WIDTH * (int)timeline_column_count() + 40;
	int height = HEAD + ROW_HEIGHT * (int)engine.event_count + 10;

	fprintf(out,
	    "<div class=\"scroll\"><svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
	    "role=\"img\">\n",
	    width, height, width, height);
	for (uint32_t c = 0; c < timeline_column_count(); c++) {
		int x = 46 + (int)c * LANE_WIDTH;

		text_at(out, x, 18, "h", timeline_heading(c));
		fprintf(out, "<line x1=\"%d\" y1=\"26\" x2=\"%d\" y2=\"%d\" class=\"lane\"/>\n", x,
		    x, height);
	}
	for (uint32_t i = 0; i < engine.event_count; i++) {
		const struct event *event = &engine.events[i];
		int x = 46 + (int)timeline_column(event) * LANE_WIDTH;
		int y = HEAD + (int)i * ROW_HEIGHT + 12;
		char text[256], place[256];

		timeline_text(event, text, sizeof(text));
		timeline_place(event, place, sizeof(place));
		if (event->step == result->cycle_start + 1)
			fprintf(out,
			    "<line x1=\"0\" y1=\"%d\" x2=\"%d\" y2=\"%d\" class=\"cycle\"/>\n",
			    y - 20, width, y - 20);
		snprintf(place, sizeof(place), "%u", event->step);
		text_at(out, 4, y + 4, "n", place);
		timeline_place(event, place, sizeof(place));
		fprintf(out, "<circle cx=\"%d\" cy=\"%d\" r=\"5\" class=\"k%u\"/>\n", x, y,
		    event->kind);
		label(out, x + 10, y + 1, text);
		text_at(out, x + 10, y + 25, "p", place);
	}
	fprintf(out, "</svg></div>\n");
}

static void list(FILE *out, const struct result *result)
{
	char text[256], place[256];

	fprintf(out, "<ol class=\"list\">\n");
	for (uint32_t i = 0; i < engine.event_count; i++) {
		const struct event *event = &engine.events[i];

		timeline_text(event, text, sizeof(text));
		timeline_place(event, place, sizeof(place));
		fprintf(out, "<li><b>");
		escape(out, timeline_heading(timeline_column(event)));
		fprintf(out, "</b>: ");
		escape(out, text);
		fprintf(out, " <code>");
		escape(out, place);
		fprintf(out, "</code>%s</li>\n",
		    event->step > result->cycle_start ? " (for ever)" : "");
	}
	fprintf(out, "</ol>\n");
}

static const char style[] =
    "body{font:16px/1.45 system-ui,sans-serif;margin:1rem auto;max-width:70rem;padding:0 .7rem;"
    "color:#1b1f24;background:#fff}h1{font-size:1.25rem}.scroll{overflow-x:auto;border:1px solid "
    "#ccc}"
    "code{overflow-wrap:anywhere;font-size:.85em}svg text{font:11px "
    "ui-monospace,monospace;fill:#1b1f24}"
    "svg .h{font-weight:700;font-size:13px}svg .p{fill:#667}svg .n{fill:#999}.lane{stroke:#bbb}"
    "circle{fill:#2f6fb3}.k2{fill:#d9a400}.k3{fill:#c2571a}.k4{fill:#7a3fb0}.k6{fill:#b01f3a}"
    ".k7{fill:#23874b}.k8{fill:#23874b}.cycle{stroke:#b01f3a;stroke-dasharray:6 4}"
    ".bad{color:#b01f3a}@media(prefers-color-scheme:dark){body{background:#15181c;color:#dde}"
    "svg text{fill:#dde}}";

static void page(FILE *out, const struct lab_scenario *scenario, const struct options *options,
    const struct result *result, const char *id)
{
	fprintf(out,
	    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
	escape(out, scenario->name);
	fprintf(out, "</title><style>%s</style>\n<h1>", style);
	escape(out, scenario->name);
	fprintf(out, "</h1>\n<p>");
	escape(out, scenario->question);
	fprintf(out, "</p>\n<p class=\"bad\">No: ");
	escape(out, result->failure.what);
	fprintf(out, " (%u steps, %s).</p>\n<p>Within: ", result->path_count,
	    options->model == LAB_TSO ? "x86-TSO" : "SC");
	escape(out, scenario->bounds);
	fprintf(out, ". %llu states searched.</p>\n<p><code>posthorn lab replay '",
	    (unsigned long long)result->state_count);
	escape(out, id);
	fprintf(out, "'</code></p>\n");
	draw(out, result);
	fprintf(out, "<h2>The same as a list</h2>\n");
	list(out, result);
	fprintf(out, "</html>\n");
}

bool report_write(const char *directory, const struct lab_scenario *scenario,
    const struct options *options, const struct result *result, const char *id)
{
	char path[4096];
	FILE *out;
	bool is_written;

	if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
		fprintf(stderr, "posthorn-lab: %s: %s\n", directory, strerror(errno));
		return false;
	}
	snprintf(path, sizeof(path), "%s/%s.html", directory, scenario->name);
	out = fopen(path, "w");
	if (!out) {
		fprintf(stderr, "posthorn-lab: %s: %s\n", path, strerror(errno));
		return false;
	}
	page(out, scenario, options, result, id);
	is_written = !ferror(out);
	if (fclose(out) != 0 || !is_written) {
		fprintf(stderr, "posthorn-lab: %s: cannot write\n", path);
		return false;
	}
	return true;
}
