"""The style of report.html: one column of sections, light and dark, from phone to wide screen."""

STYLE = """
:root{--bg:#f6f5f1;--card:#fff;--ink:#1d2127;--soft:#68707c;--line:#e3e1da;--keep:#0f766e;
--keep-soft:#d5ebe7;--drop:#b4533c;--drop-soft:#f4ddd5;--chip:#efede6;--shadow:0 1px 2px #0000000d}
@media(prefers-color-scheme:dark){:root{--bg:#121417;--card:#1b1e23;--ink:#e8e6e1;--soft:#99a1ad;
--line:#2d3138;--keep:#4fc3b2;--keep-soft:#1d3f3b;--drop:#e58f76;--drop-soft:#46281f;--chip:#272b32;
--shadow:none}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:3.5rem}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1180px;margin:auto;padding:0 1.25rem 5rem}
a{color:inherit;text-decoration-color:var(--soft);text-underline-offset:.18em}
a:hover{color:var(--keep)}
h1{font-size:clamp(1.7rem,4vw,2.5rem);line-height:1.15;letter-spacing:-.02em;margin:0 0 .4rem}
h2{font-size:1.35rem;letter-spacing:-.01em;margin:3.2rem 0 .2rem}
h3{font-size:1rem;margin:0}
.lead,.note{color:var(--soft);margin:.2rem 0 1.1rem;max-width:46rem}
.note{font-size:.9rem}
header.top{padding:3rem 0 1.2rem}
nav{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--line);
margin:0 -1.25rem;padding:.55rem 1.25rem;display:flex;gap:1.2rem;overflow-x:auto;font-size:.9rem}
nav a{text-decoration:none;color:var(--soft);white-space:nowrap}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;
margin:1.4rem 0}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:12px;
box-shadow:var(--shadow)}
.tile{padding:.9rem 1.1rem}
.tile b{display:block;font-size:1.65rem;line-height:1.2;font-variant-numeric:tabular-nums;
letter-spacing:-.02em}
.tile span{color:var(--soft);font-size:.85rem}
.grid{display:grid;gap:1rem;align-items:start;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr))}
.feed{align-items:stretch}
.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,27rem),1fr))}
.card{padding:1rem 1.15rem;min-width:0}
.card h3{margin-bottom:.6rem}
.flow{padding:.4rem 1.15rem 1rem}
.step{position:relative;padding-top:.9rem}
.depth1{margin-left:1.5rem}
.depth2{margin-left:3rem}
.depth1:before,.depth2:before{content:"";position:absolute;left:-.95rem;top:0;width:.6rem;
height:1.65rem;border:solid var(--line);border-width:0 0 2px 2px;border-radius:0 0 0 8px}
.step-head{display:flex;flex-wrap:wrap;align-items:baseline;gap:0 .9rem}
.card .step-head h3{margin:0}
.ends{font-variant-numeric:tabular-nums;color:var(--soft)}
.ends b{color:var(--keep);font-size:1.08rem}
.step .share{color:var(--soft);font-size:.85rem}
.stacked{display:flex;gap:1px;height:12px;border-radius:6px;overflow:hidden;background:var(--chip);
margin:.3rem 0 .45rem}
.stacked i{display:block;min-width:2px;flex:0 1 auto}
.stacked .keep{background:var(--keep)}
.stacked .drop{background:var(--drop)}
.stacked .gone{background:var(--drop-soft)}
.whys{display:flex;flex-wrap:wrap;gap:.3rem}
.why{background:var(--drop-soft);color:var(--drop);border-radius:99px;padding:.05rem .6rem;
font-size:.8rem;text-decoration:none;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.why small{opacity:.75}
.between{margin:.3rem 0 0;color:var(--soft);font-size:.8rem}
.subject{margin:1.6rem 0 .6rem;font-size:1.05rem}
.small{grid-template-columns:repeat(auto-fill,minmax(min(100%,17rem),1fr))}
.score h3 small{color:var(--soft);font-weight:400}
.plot{position:relative;display:flex;align-items:flex-end;gap:1px;height:92px;
border-bottom:1px solid var(--line)}
.plot span{flex:1;height:100%;display:flex;align-items:flex-end;min-width:0}
.plot span i{display:block;width:100%;min-height:2px;background:var(--keep);
border-radius:3px 3px 0 0}
.plot .beyond{position:absolute;top:0;bottom:0;background:var(--drop);opacity:.17;
pointer-events:none}
.plot .line{position:absolute;top:-3px;bottom:-4px;width:2px;margin-left:-1px;
background:var(--drop);pointer-events:none}
.axis{position:relative;height:1.15rem;font-size:.72rem;color:var(--soft);
font-variant-numeric:tabular-nums;margin-top:.15rem}
.axis span{position:absolute;white-space:nowrap}
.cut-of{margin:.3rem 0 0;font-size:.8rem;color:var(--drop);overflow-wrap:anywhere}
.cut-of small{color:var(--soft)}
details.more{margin:.8rem 0 0}
.more .small{margin-top:.8rem}
.bar{grid-column:1/-1;height:7px;border-radius:4px;background:var(--chip);margin-bottom:.45rem;
overflow:hidden}
.bar i{display:block;height:100%;min-width:2px;border-radius:4px;background:var(--keep)}
.chip{display:inline-block;background:var(--chip);color:var(--soft);border-radius:99px;
padding:.05rem .55rem;font-size:.75rem;margin:0 .35rem .2rem 0;white-space:nowrap}
.histogram{display:grid;grid-template-columns:auto minmax(0,1fr) auto;gap:.22rem .7rem;
align-items:center;font-size:.85rem;font-variant-numeric:tabular-nums}
.histogram .label{text-align:right;color:var(--soft);white-space:nowrap;max-width:11rem;
overflow:hidden;text-overflow:ellipsis}
.histogram .bar{grid-column:auto;height:12px;margin:0}
.histogram .count{text-align:right}
article.card{padding:0;display:flex;flex-direction:column}
article .head{padding:1rem 1.3rem .7rem;border-bottom:1px solid var(--line)}
article .head h3{font-size:1.05rem;line-height:1.3;margin:0 0 .15rem;overflow-wrap:anywhere}
.url{display:block;font-size:.8rem;color:var(--soft);overflow:hidden;text-overflow:ellipsis;
white-space:nowrap;margin-bottom:.4rem}
article .body{padding:.4rem 1.3rem 1.1rem;overflow-wrap:anywhere}
.feed article .body{max-height:38rem;overflow-y:auto}
article p,article pre,article blockquote{margin:.65rem 0;white-space:pre-wrap}
article h4{margin:1.2rem 0 .3rem;font-size:1.05rem}
article pre{font:.82rem/1.45 ui-monospace,Menlo,Consolas,monospace;background:var(--chip);
border-radius:8px;padding:.6rem .8rem;overflow-x:auto}
article blockquote{border-left:3px solid var(--line);padding-left:.9rem;color:var(--soft)}
article .item{padding-left:1.1rem;position:relative;margin:.3rem 0}
article .item:before{content:"•";position:absolute;left:.2rem;color:var(--soft)}
article .caption{font-style:italic;color:var(--soft);font-size:.92rem}
figure{margin:1rem 0;min-width:0}
figure img{max-width:100%;height:auto;border-radius:8px;display:block;background:var(--chip)}
figcaption{font-size:.82rem;color:var(--soft);margin-top:.35rem;overflow-wrap:anywhere}
figcaption b{font-weight:600;color:var(--ink)}
.gallery{columns:5 11.5rem;column-gap:1rem}
.gallery figure{break-inside:avoid;margin:0 0 1rem;background:var(--card);border-radius:12px;
border:1px solid var(--line);overflow:hidden;box-shadow:var(--shadow)}
.gallery img{border-radius:0;margin:auto}
.gallery figcaption{padding:.55rem .8rem .7rem;margin:0;color:var(--ink);font-size:.88rem}
.gallery figcaption a{display:block;color:var(--soft);font-size:.75rem;margin-top:.25rem;
overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.strip{display:flex;gap:.5rem;overflow-x:auto;padding-bottom:.4rem;margin:.2rem 0 .3rem}
.strip figure{margin:0;flex:none}
.strip img{height:108px;width:auto;max-width:none;border-radius:6px}
.strip figcaption{margin-top:.2rem;text-align:center;font-variant-numeric:tabular-nums}
.stack{display:grid;gap:1rem}
.text{margin:.2rem 0 .5rem}
details{border-top:1px solid var(--line);padding:.5rem 0}
details:first-of-type{border-top:0}
summary{cursor:pointer;display:grid;grid-template-columns:minmax(0,1fr) auto;gap:0 1rem;
align-items:baseline;list-style:none}
summary::-webkit-details-marker{display:none}
summary .bar{margin:.3rem 0 .1rem}
summary .bar i{background:var(--drop)}
summary .name:before{content:"▸";color:var(--soft);margin-right:.5rem;display:inline-block}
details[open] summary .name:before{content:"▾"}
summary .count{font-variant-numeric:tabular-nums}
.examples{margin:.3rem 0 .4rem;padding:0 0 0 1.2rem;list-style:none;font-size:.85rem}
.examples li{margin:.3rem 0;overflow-wrap:anywhere}
.examples code{display:block;color:var(--soft);font:.8rem/1.4 ui-monospace,Menlo,Consolas,monospace}
.examples b{font-weight:600}
.examples .words{display:block}
.examples a{color:var(--soft)}
.sheet{display:grid;gap:.7rem;grid-template-columns:repeat(auto-fill,minmax(104px,1fr));
margin:.7rem 0 .5rem}
.sheet figure{margin:0}
.sheet figure div{height:100px;display:flex;align-items:center;justify-content:center;
background:var(--chip);border-radius:8px;padding:2px}
.sheet img{border-radius:4px;max-height:96px}
.sheet figcaption{font-size:.72rem;line-height:1.35;margin-top:.25rem}
.sheet code{color:var(--drop);font:inherit}
.sheet figcaption a{color:var(--soft);text-decoration:none}
.sheet code,.sheet figcaption a{display:-webkit-box;overflow:hidden;-webkit-line-clamp:3;
-webkit-box-orient:vertical}
details:target{outline:2px solid var(--keep);outline-offset:6px;border-radius:6px}
.cues{font-size:.85rem;margin:.2rem 0 .5rem}
.cues p{margin:.15rem 0}
.broken{display:inline-block;padding:1rem;background:var(--drop-soft);border-radius:8px}
footer{margin-top:3.5rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);
font-size:.85rem}
@media(max-width:560px){main{padding:0 .9rem 3rem}nav{margin:0 -.9rem;padding:.55rem .9rem}
header.top{padding-top:1.8rem}.gallery{columns:2 8rem}
.depth1{margin-left:.9rem}.depth2{margin-left:1.8rem}
.small{grid-template-columns:repeat(2,minmax(0,1fr));gap:.6rem}.small .card{padding:.7rem .8rem}
.depth1:before,.depth2:before{left:-.65rem;width:.4rem}}
@media print{.feed article .body{max-height:none}nav{display:none}}
"""
