"""The code that runs on the board for files.py. Short names: it goes over the line each time."""

from __future__ import annotations

#: The window for the decompressor, 2**12 bytes of the board's memory. The firmware and microdot
#: shrink to 29 % with it, to 28 % with 2**15, to 40 % with 2**9.
WBITS = 12

#: `_h(path)`: a file's SHA-256 in hex, CRC-32 where there is none. `_D`: can decompress.
HASH = """\
import os as _o,binascii as _b
_v=memoryview(bytearray(4096))
def _r(p):
 with open(p,'rb') as f:
  while 1:
   n=f.readinto(_v)
   if not n:break
   yield _v[:n]
try:
 from hashlib import sha256 as _S
 def _h(p):
  h=_S()
  for d in _r(p):h.update(d)
  return _b.hexlify(h.digest()).decode()
except ImportError:
 _S=None
 def _h(p):
  c=0xffffffff
  for d in _r(p):
   for x in d:
    c^=x
    for _ in range(8):c=(c>>1)^(0xedb88320 if c&1 else 0)
  return '%08x'%(c^0xffffffff)
try:
 import deflate as _D
 _D.DeflateIO
except (ImportError,AttributeError):_D=None
"""
#: `_l(root, [(path, size), ...])`; needs HASH. What it prints, files.parse_listing reads.
LIST = """\
def _l(r,t):
 import gc
 gc.collect()
 print('files')
 print(int(_S is not None),int(_D is not None),gc.mem_free())
 try:
  with open(r+'.hil-sync') as f:print(repr(f.read()))
 except OSError:print(repr(''))
 i=0
 for p,n in t:
  try:
   s=_o.stat(r+p)
   if s[0]&0x4000:print(i,-1,'-')
   else:print(i,s[6],_h(r+p) if s[6]==n else '-')
  except OSError:pass
  i+=1
"""
#: How `_w` says that it has read back something else than it was to write.
DIFFERS = "not what was sent"
#: `_w(root, base64, [(path, size, hash), ...])` takes in a piece and the files that start in it;
#: needs HASH. A file is written to `.hil-part` before it gets its name: one name for all, so that a
#: killed sync leaves one file, and here one that is open.
PUT = """\
import io as _i
try:_f.close()
except (NameError,AttributeError,OSError):pass
_q=[];_f=None;_n=0
def _m(d):
 if not d:return
 try:_o.stat(d)
 except OSError:
  _m(d.rpartition('/')[0])
  _o.mkdir(d)
def _w(r,b,t):
 global _f,_n
 x=r+'.hil-part'
 _q.extend(t)
 s=_i.BytesIO(_b.a2b_base64(b))
 if _D:s=_D.DeflateIO(s,_D.RAW,12)
 try:
  while _q:
   p,z,h=_q[0]
   if not _f:
    _m((r+p).rpartition('/')[0])
    _f=open(x,'wb');_n=z
   while _n:
    k=s.readinto(_v[:min(_n,4096)])
    if not k:return
    _f.write(_v[:k]);_n-=k
   _f.close();_f=None
   if _h(x)!=h:raise OSError('not what was sent: '+p)
   _o.rename(x,r+p)
   _q.pop(0)
 except BaseException:
  if _f:
   try:_f.close()
   except OSError:pass
  _f=None;_q.clear()
  try:_o.remove(x)
  except OSError:pass
  raise
"""
#: Prints the file that it is formatted with, in lines of base64.
READ = """\
import binascii as _b,sys as _s
with open(%s,'rb') as f:
 while 1:
  d=f.read(1536)
  if not d:break
  _s.stdout.write(_b.b2a_base64(d))
"""
#: `_t(root, '')` prints each file below; needs HASH.
WALK = """\
def _t(r,p):
 for e in _o.ilistdir(r+p or '/'):
  q=p+'/'+e[0]
  if e[1]&0x4000:_t(r,q)
  else:print(repr((q[1:],_o.stat(r+q)[6],_h(r+q))))
"""
#: Prints those of the names it is formatted with that are in the firmware.
FROZEN = """\
import sys as _s,os as _o
def _z(n):
 for p in _s.path:
  if p[:1]=='.' or p[:4]=='/rom':continue
  for x in ('','.py','.mpy'):
   try:
    _o.stat((p+'/' if p else '')+n.replace('.','/')+x)
    return 0
   except OSError:pass
 k=set(_s.modules)
 try:__import__(n)
 except ImportError:return 0
 for m in set(_s.modules)-k:_s.modules.pop(m)
 return 1
print(repr([n for n in %s if _z(n)]))
"""
#: `_c(from, to, (left out, ...))` copies what is below a folder; none of it must be there yet.
COPY = """\
import os as _o
_v=memoryview(bytearray(4096))
def _c(a,b,x):
 for e in _o.ilistdir(a):
  p=a+'/'+e[0];q=b+'/'+e[0]
  if p in x:continue
  if e[1]&0x4000:
   _o.mkdir(q)
   _c(p,q,x)
  else:
   with open(p,'rb') as f,open(q,'wb') as g:
    while 1:
     n=f.readinto(_v)
     if not n:break
     g.write(_v[:n])
"""
#: Fills the file system with the file that it is formatted with; prints the bytes left. Beyond
#: what a seek takes it writes a megabyte at most.
FILL = """\
import os as _o
def _free():
 s=_o.statvfs('.')
 return s[1]*s[4]
with open(%s,'wb') as _f:
 try:
  _f.seek(_free())
  _f.write(b'\\0')
 except OSError:pass
 try:
  _f.seek(0,2)
  for _ in range(2048):_f.write(bytes(512))
 except OSError:pass
if hasattr(_o,'sync'):_o.sync()
print(_free())
"""
