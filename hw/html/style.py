"""The report's one style sheet: light and dark, screen and paper, laptop and phone."""

__all__ = ["CSS"]

# The text colours have a contrast of 4.5 or more against their grounds (WCAG 2, AA), in both
# schemes; blue and grey differ in lightness, so that they are told apart without their hue.
CSS = """
:root{color-scheme:light dark;--ground:#fff;--panel:#f6f7f9;--text:#1b1f24;--muted:#57606a;
--line:#d3d8de;--accent:#0a5ab4;--tint:#e4eefa}
@media (prefers-color-scheme:dark){:root{--ground:#14171b;--panel:#1c2127;--text:#e6e9ed;
--muted:#a4adb8;--line:#3a424c;--accent:#79b4ff;--tint:#1d3350}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
header,main,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
footer{padding-bottom:40px;color:var(--muted);font-size:14px}
h1{font-size:28px;line-height:1.2;margin:0 0 8px;overflow-wrap:anywhere}
h2{font-size:20px;line-height:1.3;margin:44px 0 12px;padding-top:12px;
border-top:1px solid var(--line)}
h3{font-size:16px;margin:20px 0 8px}
p{margin:8px 0;max-width:80ch}
a{color:var(--accent)}
.lead{font-size:18px}
.muted,figcaption{color:var(--muted)}
code,pre,.mono{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
font-size:.9em}
code{overflow-wrap:anywhere}
table code{white-space:nowrap}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:12px 14px;
white-space:pre-wrap;overflow-wrap:anywhere;margin:8px 0}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:12px 0}
dl.facts dt{color:var(--muted)}
dl.facts dd{margin:0;overflow-wrap:anywhere}
ul.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:12px;
margin:16px 0;padding:0;list-style:none}
ul.tiles li{background:var(--panel);border:1px solid var(--line);border-radius:6px;
padding:10px 14px}
.tiles .name{display:block;color:var(--muted);font-size:14px}
.tiles .value{display:block;font-size:20px;font-weight:600;line-height:1.3;
font-variant-numeric:tabular-nums}
.tiles .more{display:block;color:var(--muted);font-size:13px}
.pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:20px 32px;
align-items:start}
figure{margin:12px 0;min-width:0}
figure>svg{display:block;width:100%;height:auto;max-width:540px}
figcaption{font-size:14px;margin-top:6px;max-width:80ch}
.scroll{overflow-x:auto;margin:12px 0}
.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.scroll>svg{display:block}
table{border-collapse:collapse;font-size:14px;min-width:min(100%,620px);font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 16px 6px 0;border-bottom:1px solid var(--line);
vertical-align:top}
thead th{color:var(--muted);font-weight:600;white-space:nowrap}
tbody th{font-weight:500}
th.number,td.number{text-align:right;white-space:nowrap;padding:6px 0 6px 16px}
tbody td:last-child:not(.number){min-width:24ch}
details{margin:12px 0}
summary{cursor:pointer;color:var(--accent)}
svg text{fill:var(--text);font-family:inherit;font-size:12px}
svg .soft{fill:var(--muted)}
svg .small{font-size:11px}
svg .strong{font-weight:600}
svg .hot{fill:var(--accent)}
svg .halo{paint-order:stroke;stroke:var(--ground);stroke-width:4px}
svg .end{text-anchor:end}
svg .middle{text-anchor:middle}
svg path,svg line,svg rect,svg circle{fill:none;stroke-width:1;stroke:var(--line)}
svg .wire{stroke:var(--muted);stroke-width:1.2}
svg .tip{fill:var(--muted);stroke:none}
svg .register{stroke:var(--accent);stroke-dasharray:5 3;stroke-width:1.4}
svg .block{fill:var(--ground);stroke:var(--text);stroke-width:1.2}
svg .memory{fill:var(--tint);stroke:var(--accent);stroke-width:1.2}
svg .port{fill:var(--panel);stroke:var(--muted)}
svg .exact{stroke:var(--muted);stroke-width:2.6;stroke-opacity:.55}
svg .unit{stroke:var(--accent);stroke-width:1.3}
svg .dot{fill:var(--accent);stroke:none}
svg .ring{stroke:var(--muted);stroke-width:1.4}
svg .bar{fill:var(--accent);stroke:none}
svg .paler{fill:var(--line);stroke:none}
svg .edge{stroke:var(--muted);stroke-width:1;stroke-opacity:.35}
svg .limit{stroke:var(--text);stroke-dasharray:4 3}
svg .signal{stroke:var(--text);stroke-width:1.3}
svg .busy{fill:var(--tint);stroke:var(--accent)}
svg .gap{fill:var(--ground);stroke:none}
@media (max-width:760px){header,main,footer{padding-left:16px;padding-right:16px}
h1{font-size:24px}.lead{font-size:17px}.pair{grid-template-columns:minmax(0,1fr)}
dl.facts{grid-template-columns:1fr;gap:0}dl.facts dd{margin-bottom:8px}
ul.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.tiles .value{font-size:18px}
figure>svg text{font-size:13px}figure>svg .small{font-size:12.5px}}
@media print{:root{--ground:#fff;--panel:#fff;--text:#000;--muted:#444;--line:#bbb;
--accent:#0a5ab4;--tint:#e4eefa}
body{font-size:11pt}h2{break-after:avoid}figure,tr,li{break-inside:avoid}
.scroll{overflow:visible}.scroll>svg{width:100%;height:auto}details>*{display:block}}
"""
