"""How the page looks: a theme, and what it cannot say in CSS. Light and dark, from 360 pixels up, no foreign fonts."""

from __future__ import annotations

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """A quiet theme whose text has a contrast of 4.5 to 1 or more (WCAG 2.2, 1.4.3), in light and in dark."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        text_size=gr.themes.sizes.text_md,
        radius_size=gr.themes.sizes.radius_md,
        font=SANS,
        font_mono=MONO,
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )


CSS = """
.gradio-container { max-width: 1400px !important; margin: 0 auto; }
#head, #result, #heat-caption, #foot { padding: 0 !important; }
.html-container { padding: 0 !important; }
#head h1 { font-size: 1.5rem; font-weight: 650; margin: 0; }
#head .disclaimer { margin: .25rem 0 0; max-width: 62rem; line-height: 1.45; text-wrap: pretty; }

#stage { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); align-items: start; }
#stage > * { min-width: 0 !important; width: 100%; }
@media (max-width: 759px) {
  #result-area { display: contents; }
  #picture-area { order: 1; } #result { order: 2; } #heat-area { order: 3; } #result-area > :not(#result) { order: 4; }
  #examples-area { order: 5; }
  #heat-area:has([aria-label="Empty value"]) { display: none; }
}
@media (min-width: 760px) {
  #stage { grid-template-columns: repeat(2, minmax(0, 1fr));
           grid-template-areas: "picture result" "heat result" "examples examples"; }
  #picture-area { grid-area: picture; } #result-area { grid-area: result; } #heat-area { grid-area: heat; }
  #examples-area { grid-area: examples; }
}
@media (min-width: 1180px) {
  #stage { grid-template-columns: repeat(2, minmax(0, 1fr)) minmax(0, 1.1fr);
           grid-template-areas: "picture heat result" "examples examples result";
           grid-template-rows: auto 1fr; }
}

.card { border: 1px solid var(--border-color-primary); border-left: 6px solid var(--accent); border-radius: 8px;
        padding: 1rem 1.1rem; background: var(--block-background-fill); line-height: 1.45;
        --accent: #64748b; --ink: var(--body-text-color); }
.card + .card { margin-top: .75rem; }
.card h2 { font-size: 1.2rem; font-weight: 650; margin: 0 0 .35rem; }
.card h2, .card p, .card li { color: var(--ink); }
.card p, .card ul { margin: .4rem 0 0; }
.card ul { padding-left: 1.2rem; list-style: disc; }
.card p.overline { margin: 0; font-size: .85rem; color: var(--body-text-color-subdued); }
.card.benign { --accent: #0f766e; }
.card.malignant { --accent: #b45309; }
.card.benign h2, .card.malignant h2 { font-size: 2rem; line-height: 1.15; }
.card.malignant h2 > span, .card.benign h2 > span { color: var(--accent); }
.card.warning { --accent: #ca8a04; --ink: #422006; background: #fef9c3; border-color: #ca8a04; }
.card.error { --accent: #b91c1c; }
.dark .card.benign { --accent: #5eead4; }
.dark .card.malignant { --accent: #fbbf24; }
.dark .card.error { --accent: #f87171; }
.dark .card.warning { --ink: #fef9c3; background: #422006; }
.fine, .card p.fine { font-size: .85rem; line-height: 1.45; color: var(--body-text-color-subdued); }

.bar { margin: .8rem 0 .9rem; font-size: .85rem; font-variant-numeric: tabular-nums; }
.bar-track { position: relative; height: 16px; border-radius: 8px; border: 1px solid var(--body-text-color-subdued);
             background: var(--background-fill-secondary); }
.bar-fill { position: relative; height: 100%; width: calc(var(--at) * 100%); min-width: 4px;
            border-radius: 7px 0 0 7px; background: var(--accent); }
.bar-fill::after { content: ""; position: absolute; right: 0; top: 0; bottom: -8px; width: 2px;
                   background: var(--accent); }
.bar-mark { position: absolute; top: -8px; bottom: -1px; width: 3px; left: calc(var(--at) * 100% - 1.5px);
            background: var(--body-text-color); box-shadow: 0 0 0 1px var(--block-background-fill); }
.bar-label { display: block; width: max-content; position: relative; padding: .35rem 0;
             left: clamp(4.4rem, calc(var(--at) * 100%), calc(100% - 4.4rem)); transform: translateX(-50%); }

#examples, #examples .gallery-container, #examples .grid-wrap { height: auto !important; min-height: 0 !important; }
#examples .grid-wrap { padding-top: 2.3rem; overflow: visible; }
#examples .grid-container { grid-template-columns: repeat(6, minmax(0, 1fr)); }
@media (max-width: 759px) { #examples .grid-container { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
#examples .caption-label { left: 0; right: 0; bottom: 0; max-width: none; white-space: normal; text-align: center;
                           font-size: .75rem; line-height: 1.2; border-radius: 0; padding: .15rem .2rem; }
"""

SCRIPT = """() => {
  const mend = () => {
    document.querySelectorAll('#examples img:not([alt=""])').forEach(image => { image.alt = ''; });
    document.querySelectorAll('[aria-label="Empty value"]:not([role])').forEach(box => { box.role = 'img'; });
  };
  new MutationObserver(mend).observe(document.body, {childList: true, subtree: true});
  mend();
  document.addEventListener('paste', event => {
    const file = [...event.clipboardData.files].find(file => file.type.startsWith('image/'));
    const input = document.querySelector('#picture input[type=file]');
    if (!file || !input) return;
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
  });
}"""
"""Run once by the page. Gradio says an example's caption twice to a screen reader, names a box without a role, and does
not take a picture pasted with the keyboard."""
